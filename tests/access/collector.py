"""A collector of audit messages for tests: RFC 5424 over TLS, TCP or UDP, and the schema of PS3.15 A.5.1 as a checker written
from the standard. SPDX-License-Identifier: Apache-2.0"""
import base64, re, socket, ssl, threading
import xml.etree.ElementTree as ElementTree

SYSLOG = re.compile(rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (-|\[.*\]) \xef\xbb\xbf(.*)", re.S)
# DCM codes of event, with those its type may have (PS3.16 CID 400, 401)
TYPES = {"110100": {"110120", "110121"}, "110101": set(), "110102": set(), "110103": set(), "110104": set(), "110105": set(), "110106": set(),
         "110107": set(), "110108": {"110124", "110125"}, "110110": set(), "110112": set(), "110113": {f"1101{n}" for n in range(26, 38)},
         "110114": {"110122", "110123"}}
CODED = {"csd-code", "codeSystemName", "originalText"}


def demand(condition, what):
    if not condition:
        raise ValueError(what)


def is_coded(element):
    demand(CODED <= set(element.attrib) <= CODED | {"displayName"}, f"{element.tag}: attributes {sorted(element.attrib)}")
    demand(len(element) == 0 and all(element.attrib.values()), f"{element.tag}: content")


def children(element, *pattern):
    """pattern: (name, least, most), in order."""
    rest = list(element)
    for name, least, most in pattern:
        n = 0
        while rest and rest[0].tag == name and n < most:
            rest.pop(0)
            n += 1
        demand(n >= least, f"{element.tag}: {n} {name}")
    demand(not rest, f"{element.tag}: {rest[0].tag if rest else ''} is not allowed there")


def one_of(element, name, values, is_required=True):
    value = element.get(name)
    demand(not is_required if value is None else value in list(values), f"{element.tag}: {name}={value}")


def check(text):
    """The parsed message, or ValueError."""
    root = ElementTree.fromstring(text)
    demand(root.tag == "AuditMessage" and not root.attrib, "root")
    children(root, ("EventIdentification", 1, 1), ("ActiveParticipant", 1, 99), ("AuditSourceIdentification", 1, 1), ("ParticipantObjectIdentification", 0, 99))
    event = root[0]
    children(event, ("EventID", 1, 1), ("EventTypeCode", 0, 9), ("EventOutcomeDescription", 0, 1))
    for element in event:
        is_coded(element)
    one_of(event, "EventActionCode", "CRUDE", False)
    one_of(event, "EventOutcomeIndicator", ("0", "4", "8", "12"))
    demand(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", event.get("EventDateTime")), "EventDateTime")
    code = event[0].get("csd-code")
    types = {t.get("csd-code") for t in event.findall("EventTypeCode")}
    demand(code in TYPES and types <= TYPES[code], f"event {code} of types {types}")
    demand(bool(types) == (code in ("110100", "110108", "110113", "110114")), f"event {code}: types {types}")
    requestors = 0
    for who in root.findall("ActiveParticipant"):
        children(who, ("RoleIDCode", 0, 9), ("MediaIdentifier", 0, 1))
        for role in who:
            is_coded(role)
        demand(who.get("UserID"), "UserID")
        one_of(who, "UserIsRequestor", ("true", "false"))
        one_of(who, "NetworkAccessPointTypeCode", "12345", False)
        demand((who.get("NetworkAccessPointID") is None) == (who.get("NetworkAccessPointTypeCode") is None), "access point")
        requestors += who.get("UserIsRequestor") == "true"
    demand(requestors == 1, f"{requestors} requestors")
    source = root.find("AuditSourceIdentification")
    demand(source.get("AuditSourceID"), "AuditSourceID")
    children(source, ("AuditSourceTypeCode", 0, 9))
    for thing in root.findall("ParticipantObjectIdentification"):
        children(thing, ("ParticipantObjectIDTypeCode", 1, 1), ("ParticipantObjectName", 0, 1), ("ParticipantObjectQuery", 0, 1),
                 ("ParticipantObjectDetail", 0, 99), ("ParticipantObjectDescription", 0, 9))
        is_coded(thing[0])
        demand((thing.find("ParticipantObjectName") is None) != (thing.find("ParticipantObjectQuery") is None), "a name or a query")
        demand(thing.get("ParticipantObjectID"), "ParticipantObjectID")
        one_of(thing, "ParticipantObjectTypeCode", "1234", False)
        one_of(thing, "ParticipantObjectTypeCodeRole", [str(i) for i in range(1, 27)], False)
        for detail in thing.findall("ParticipantObjectDetail"):
            demand(set(detail.attrib) == {"type", "value"}, "detail")
            base64.b64decode(detail.get("value"), validate=True)
        for query in thing.findall("ParticipantObjectQuery"):
            base64.b64decode(query.text, validate=True)
        for description in thing.findall("ParticipantObjectDescription"):
            children(description, ("MPPS", 0, 99), ("Accession", 0, 99), ("SOPClass", 0, 99), ("ParticipantObjectContainsStudy", 0, 1),
                     ("Encrypted", 0, 1), ("Anonymized", 0, 1))
    return root


class Message:
    def __init__(self, frame):
        match = SYSLOG.fullmatch(frame)
        demand(match, f"no RFC 5424: {frame[:120]!r}")
        self.priority, self.message_id = int(match[1]), match[6].decode()
        self.xml = check(match[8].decode())
        event = self.xml[0]
        self.event = event[0].get("csd-code")
        self.type = event[1].get("csd-code") if len(event) > 1 else ""
        self.outcome = event.get("EventOutcomeIndicator")
        self.users = [w.get("UserID") for w in self.xml.findall("ActiveParticipant")]
        self.objects = [o.get("ParticipantObjectID") for o in self.xml.findall("ParticipantObjectIdentification")]


class Collector:
    """Listens on a port of its own, or on `port` again. Messages and faults, in order."""

    def __init__(self, kind, port=0, certificate=None, ca=None):
        self.kind, self.messages, self.faults, self.connections = kind, [], [], []
        self.context = None
        if kind == "tls":
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
            self.context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
            self.context.load_cert_chain(certificate + ".pem", certificate + ".key")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        if kind != "udp":
            self.socket.listen()
        threading.Thread(target=self.datagrams if kind == "udp" else self.accept, daemon=True).start()

    def take(self, frame):
        try:
            self.messages.append(Message(frame))
        except Exception as fault:
            self.faults.append(f"{fault}: {frame[:2000]!r}")

    def datagrams(self):
        while True:
            try:
                self.take(self.socket.recv(70000))
            except OSError:
                return

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                self.connections.append(connection)
            stream = connection.makefile("rb")
            while True:
                count = b""
                while not count.endswith(b" "):
                    byte = stream.read(1)
                    if not byte:
                        return
                    count += byte
                frame = stream.read(int(count))
                if len(frame) < int(count):
                    return
                self.take(frame)
        except (OSError, ValueError):
            return

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()
