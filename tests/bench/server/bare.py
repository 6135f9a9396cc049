"""Bare senders: the same objects, prepared in memory as PDUs, into the same receivers, with nothing else to do. What a
retrieval costs beyond them is the server's own. Only the standard library."""
import os, socket, struct, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import wire

PIECE = 131072 - 12  # of a PDU of 128 KiB, which is what DCMTK's receivers take


def dataset_of(path):
    """(SOP class, SOP instance, data set) of a Part 10 file; the meta information is explicit little endian."""
    data = open(path, "rb").read()
    end = 144 + struct.unpack_from("<I", data, 140)[0]
    at, uids = 144, {}
    while at < end:
        group, number, vr, n = struct.unpack_from("<HH2sH", data, at)
        head = 8
        if vr in (b"OB", b"UN"):
            n, head = struct.unpack_from("<I", data, at + 8)[0], 12
        uids[number] = data[at + head:at + head + n]
        at += head + n
    return uids[2].decode().rstrip("\0"), uids[3].decode().rstrip("\0"), data[end:]


def messages_of(paths, context):
    out = []
    for number, path in enumerate(paths):
        sop_class, sop_instance, data = dataset_of(path)
        out.append(wire.pdata(context, True, wire.command(wire.STORE_RQ, number % 60000 + 1, sop_class, sop_instance, True)) +
                   wire.pdatas(context, data, PIECE))
    return out


def send_all(port, aet, paths, associations):
    """Seconds to send the files over so many associations at once, as a C-MOVE does; association included."""
    parts = [paths[i::associations] for i in range(associations)]
    prepared = [messages_of(part, 1) for part in parts]

    def run(messages):
        with wire.Wire(port) as peer:
            peer.associate([(1, wire.CT, [wire.EXPLICIT])], called=aet, max_pdu=131072)
            for message in messages:
                peer.send(message)
                peer.read_response()
            peer.send(wire.RELEASE_RQ)
            peer.read_pdu()

    begin = time.time()
    threads = [threading.Thread(target=run, args=(messages,)) for messages in prepared]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.time() - begin


def items_of(body):
    at = 0
    while at + 4 <= len(body):
        kind, _, n = struct.unpack_from(">BBH", body, at)
        yield kind, body[at + 4:at + 4 + n]
        at += 4 + n


class GetServer(threading.Thread):
    """Answers every C-GET with the same objects. Takes whatever is proposed in explicit little endian, and every role."""
    name, aet = "bare", "BARE"

    def __init__(self, paths):
        super().__init__(daemon=True)
        self.paths, self.messages = paths, {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            peer = wire.Wire.__new__(wire.Wire)
            peer.socket = connection
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.serve(peer)
            except wire.Closed:
                pass
            connection.close()

    def accept(self, peer):
        """The context of each accepted abstract syntax."""
        _, body = peer.read_pdu()
        contexts, answer, user = {}, b"", wire.item(0x51, struct.pack(">I", 131072)) + wire.item(0x52, b"1.2.3.4")
        for kind, part in items_of(body[68:]):
            if kind == 0x20:
                inner = list(items_of(part[4:]))
                transfers = [v.decode().rstrip("\0") for k, v in inner if k == 0x40]
                is_good = wire.EXPLICIT in transfers
                answer += wire.item(0x21, bytes([part[0], 0, 0 if is_good else 4, 0]) +
                                    wire.item(0x40, (wire.EXPLICIT if is_good else transfers[0]).encode()))
                if is_good:
                    contexts[inner[0][1].decode().rstrip("\0")] = part[0]
            if kind == 0x50:
                user += b"".join(wire.item(0x54, v) for k, v in items_of(part) if k == 0x54)
        peer.send(wire.pdu(2, body[:68] + wire.item(0x10, b"1.2.840.10008.3.1.1.1") + answer + wire.item(0x50, user)))
        return contexts

    def serve(self, peer):
        context = self.accept(peer)[wire.CT]
        if context not in self.messages:
            self.messages[context] = messages_of(self.paths, context)
        messages = self.messages[context]
        request, _ = peer.read_response()
        for message in messages:
            peer.send(message)
            peer.read_response()
        n = struct.pack("<H", len(messages))
        counts = b"".join(wire.element(number, value) for number, value in ((0x1021, n), (0x1022, bytes(2)), (0x1023, bytes(2))))
        body = (wire.element(0x0002, request[0x0002]) + wire.element(0x0100, struct.pack("<H", 0x8010)) +
                wire.element(0x0120, request[0x0110]) + wire.element(0x0800, struct.pack("<H", wire.NO_DATA)) +
                wire.element(0x0900, bytes(2)) + counts)
        peer.send(wire.pdata(peer.last_context, True, wire.element(0, struct.pack("<I", len(body))) + body))
        if peer.read_pdu()[0] == 5:
            peer.send(wire.pdu(6, bytes(4)))

    def stop(self):
        self.listener.close()
