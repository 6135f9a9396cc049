"""DICOM's upper layer and DIMSE by hand (PS3.8, PS3.7), for peers that do what no library would do. Only the standard
library. It knows nothing of Hilum."""
import socket, struct

IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{i}" for i in (1, 2, 3))
ECHO_RQ, STORE_RQ, FIND_RQ, GET_RQ, MOVE_RQ, CANCEL_RQ = 0x30, 0x01, 0x20, 0x10, 0x21, 0xFFF
NO_DATA, DATA = 0x0101, 0x0001


class Closed(Exception):
    """The server ended the association; text says how: "abort S/R", "reject R/S/R", "closed"."""


def item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(kind, body):
    return struct.pack(">BBI", kind, 0, len(body)) + body


def associate_rq(contexts, called="HILUM", calling="ATTACKER", max_pdu=16384, roles=(), identity=None):
    """contexts: [(id, abstract, [transfer...])]; identity: (type, wants a response, primary, secondary)"""
    body = struct.pack(">HH", 1, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, abstract, transfers in contexts:
        inner = b"".join(item(0x40, t.encode()) for t in transfers)
        body += item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract.encode()) + inner)
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3.4") + item(0x55, b"WIRE")
    for uid in roles:
        user += item(0x54, struct.pack(">H", len(uid)) + uid.encode() + b"\1\1")
    if identity:
        kind, wants, primary, secondary = identity
        user += item(0x58, struct.pack(">BBH", kind, wants, len(primary)) + primary + struct.pack(">H", len(secondary)) + secondary)
    return pdu(1, body + item(0x50, user))


def element(number, value):
    return struct.pack("<HHI", 0, number, len(value)) + value


def uid(text):
    return text.encode() + (b"\0" if len(text) % 2 else b"")


def command(field, message_id=1, sop_class=None, sop_instance=None, has_data=False, extra=b""):
    body = b""
    if sop_class:
        body += element(0x0002, uid(sop_class))
    body += element(0x0100, struct.pack("<H", field))
    body += element(0x0120 if field == CANCEL_RQ else 0x0110, struct.pack("<H", message_id))
    if field in (STORE_RQ, FIND_RQ, GET_RQ, MOVE_RQ):
        body += element(0x0700, struct.pack("<H", 0))
    body += element(0x0800, struct.pack("<H", DATA if has_data else NO_DATA))
    if sop_instance:
        body += element(0x1000, uid(sop_instance))
    return element(0, struct.pack("<I", len(body + extra))) + body + extra


def pdata(context, is_command, data, last=True):
    return pdu(4, struct.pack(">IBB", len(data) + 2, context, (1 if is_command else 0) | (2 if last else 0)) + data)


def pdatas(context, data, piece=16000):
    """A data set in as many PDUs as it takes."""
    out = b"".join(pdata(context, False, data[i:i + piece], i + piece >= len(data)) for i in range(0, len(data), piece))
    return out or pdata(context, False, b"")


def parse_command(data):
    out, at = {}, 0
    while at + 8 <= len(data):
        group, number, n = struct.unpack_from("<HHI", data, at)
        out[number] = data[at + 8:at + 8 + n]
        at += 8 + n
    return out


RELEASE_RQ, ABORT = pdu(5, bytes(4)), pdu(7, bytes(4))


class Wire:
    """One connection. associate() first, or send whatever you like."""

    def __init__(self, port, timeout=20, source="127.0.0.1", is_narrow=False):
        """is_narrow: what the peer does not read soon fills the buffers of both sides."""
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        if is_narrow:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.message_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def exact(self, n):
        out = b""
        while len(out) < n:
            try:
                got = self.socket.recv(n - len(out))
            except ConnectionError:
                got = b""
            if not got:
                raise Closed("closed")
            out += got
        return out

    def read_pdu(self):
        kind, _, n = struct.unpack(">BBI", self.exact(6))
        body = self.exact(n)
        if kind == 7:
            raise Closed(f"abort {body[2]}/{body[3]}")
        if kind == 3:
            raise Closed(f"reject {body[1]}/{body[2]}/{body[3]}")
        return kind, body

    def associate(self, contexts, **how):
        """{context id: accepted transfer syntax}"""
        self.send(associate_rq(contexts, **how))
        _, body = self.read_pdu()
        self.is_user_confirmed = b"\x59\0\0\2\0\0" in body
        at, accepted = 68, {}
        while at + 4 <= len(body):
            kind, _, n = struct.unpack_from(">BBH", body, at)
            part = body[at + 4:at + 4 + n]
            if kind == 0x21 and part[2] == 0:
                accepted[part[0]] = part[8:8 + struct.unpack_from(">H", part, 6)[0]].decode().rstrip("\0")
            at += 4 + n
        return accepted

    def read_response(self):
        """(command elements, data set or None)"""
        parts = {True: bytearray(), False: bytearray()}  # of a large object many thousand pieces
        while True:
            kind, body = self.read_pdu()
            if kind != 4:
                raise Closed(f"PDU {kind}")
            at = 0
            while at < len(body):
                n, self.last_context, flags = struct.unpack_from(">IBB", body, at)
                parts[bool(flags & 1)] += body[at + 6:at + 4 + n]
                at += 4 + n
                if not flags & 2:
                    continue
                answer = parse_command(bytes(parts[True]))
                if not flags & 1:
                    return answer, bytes(parts[False])
                if answer[0x0800] == struct.pack("<H", NO_DATA):
                    return answer, None

    def status(self):
        answer, _ = self.read_response()
        return struct.unpack("<H", answer[0x0900])[0]

    def echo(self, context=1):
        self.message_id += 1
        self.send(pdata(context, True, command(ECHO_RQ, self.message_id, VERIFICATION)))
        return self.status()

    def store(self, context, sop_class, sop_instance, data, piece=16000):
        self.message_id += 1
        self.send(pdata(context, True, command(STORE_RQ, self.message_id, sop_class, sop_instance, True)) +
                  pdatas(context, data, piece))
        return self.status()

    def find(self, context, identifier):
        """(data sets, last status)"""
        self.send(pdata(context, True, command(FIND_RQ, 1, STUDY_FIND, has_data=True)) + pdatas(context, identifier))
        out = []
        while True:
            answer, data = self.read_response()
            if data is None:
                return out, struct.unpack("<H", answer[0x0900])[0]
            out.append(data)

    def get(self, context, identifier):
        """({SOP Instance UID: data set}, last status); every object is taken with success."""
        self.send(pdata(context, True, command(GET_RQ, 1, STUDY_GET, has_data=True)) + pdatas(context, identifier))
        out = {}
        while True:
            answer, data = self.read_response()
            field = struct.unpack("<H", answer[0x0100])[0]
            if field != STORE_RQ:
                status = struct.unpack("<H", answer[0x0900])[0]
                if status != 0xFF00:
                    return out, status
                continue
            instance = answer[0x1000].decode().rstrip("\0")
            out[instance] = data
            body = (element(2, answer[2]) + element(0x0100, struct.pack("<H", 0x8001)) + element(0x0120, answer[0x0110]) +
                    element(0x0800, struct.pack("<H", NO_DATA)) + element(0x0900, b"\0\0") + element(0x1000, answer[0x1000]))
            self.send(pdata(self.last_context, True, element(0, struct.pack("<I", len(body))) + body))

    def release(self):
        self.send(RELEASE_RQ)
        try:
            while self.read_pdu()[0] != 6:
                pass
        finally:
            self.close()

    def end_or_status(self):
        """The status of an answer, or "abort"."""
        try:
            return self.status()
        except Closed:
            return "abort"

    def end(self):
        """How the server ended it, whatever it still says before."""
        try:
            while True:
                self.read_pdu()
        except Closed as how:
            return str(how)
        except TimeoutError:
            return "timeout"


# ---- data sets in Explicit VR Little Endian ----

def explicit(group, number, vr, value):
    if isinstance(value, str):
        value = value.encode()
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    long = vr in ("OB", "OW", "SQ", "UN", "UT", "UC", "UR")
    head = struct.pack("<HH2s", group, number, vr.encode())
    return head + (struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))) + value


def ct(instance, study="1.2.3.4", series="1.2.3.4.1", patient="ATTACK", pixels=b"\0" * 128, extra=b""):
    """A small object; `extra`: elements between (0020,0013) and the pixels."""
    return (explicit(8, 0x16, "UI", CT) + explicit(8, 0x18, "UI", instance) + explicit(8, 0x20, "DA", "20260101") +
            explicit(8, 0x60, "CS", "CT") + explicit(0x10, 0x10, "PN", "Attack^Under") + explicit(0x10, 0x20, "LO", patient) +
            explicit(0x20, 0x0D, "UI", study) + explicit(0x20, 0x0E, "UI", series) + explicit(0x20, 0x13, "IS", "1") +
            extra + explicit(0x7FE0, 0x10, "OW", pixels))


STORE_CONTEXTS = [(1, VERIFICATION, [IMPLICIT]), (3, CT, [EXPLICIT]), (5, CT, [DEFLATED])]


def storing(port, source="127.0.0.1"):
    wire = Wire(port, source=source)
    wire.associate(STORE_CONTEXTS)
    return wire
