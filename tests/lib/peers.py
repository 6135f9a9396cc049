"""Servers and clients for whole-server tests and benchmarks: Hilum, Orthanc, DCMTK's tools. Loopback only."""
import atexit, json, os, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request

from free_port import free_port  # noqa: F401 - for those who import peers

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("HILUM_BUILD", f"{ROOT}/build/release")


launched = []  # every server of this run


def kill_the_rest():
    """A test that ends early, by an exception or by a signal, leaves no server behind."""
    for process in launched:
        if process.poll() is None:
            process.kill()
            process.wait()


atexit.register(kill_the_rest)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: sys.exit(128 + number))


def wait_for_line(path, text, process, seconds=30):
    """Until the process has printed a line that begins with text."""
    end = time.time() + seconds
    while time.time() < end:
        if any(line.startswith(text) for line in open(path, errors="replace")):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode}")
        time.sleep(0.01)
    raise RuntimeError(f"{process.args[0]} did not print {text} within {seconds} s")


def wait_for(port, process, seconds=30):
    """Until somebody listens; an error names the process that ended instead."""
    end = time.time() + seconds
    while time.time() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nothing listens on {port} after {seconds} s")


def client_env(is_nodelay):
    env = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
    if is_nodelay:
        env["TCP_NODELAY"] = "1"
    return env


class Server:
    """A process with a DICOM port. Its output goes to <dir>/log."""

    def __init__(self, work, port=None):
        self.dir = tempfile.mkdtemp(dir=work)
        self.port = port or free_port()

    ready = None  # line the process prints when it is ready; None: when the port is open

    def launch(self, argv, env=None):
        with open(f"{self.dir}/log", "w") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=env)
        launched.append(self.process)
        try:
            if self.ready:
                wait_for_line(f"{self.dir}/log", self.ready, self.process)
            else:
                wait_for(self.port, self.process)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{open(f'{self.dir}/log').read()[-2000:]}") from None

    def rss_mb(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


# A small intake log: a fresh server writes its segments in the background, 768 MiB of them as shipped.
SMALL_STORE = 'plugins = ( { name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; } );'


class Hilum(Server):
    name, aet, ready = "hilum", "HILUM", "READY dicom="

    def __init__(self, work, config="", dicom="", data=None, site=None, env=None, build=BUILD, port=None,
                 store=SMALL_STORE):
        super().__init__(work, port)
        self.build, self.data = build, data or f"{self.dir}/data"
        os.makedirs(self.data, exist_ok=True)
        self.extra = f"{self.dir}/test.cfg"
        with open(self.extra, "w") as f:
            f.write(f'dicom = {{ unknown_peers = "accept"; listen = ( "127.0.0.1:{self.port}" ); {dicom} }};\n{config}\n{"" if "plugins" in config else store}\n')
        self.argv = [f"{build}/bin/hilumd", "--config", f"{ROOT}/etc/hilum.cfg", "--extra", self.extra, "--data", self.data,
                     "--plugin-dir", f"{build}/lib/hilum/plugins", "--rules-dir", f"{ROOT}/scripts/core"]
        if site:
            self.argv += ["--site", site]
        self.launch(self.argv, env)

    def again(self):
        self.launch(self.argv)

    def cli_items(self, *words, check=True):
        """What the `hilum` program prints as JSON: (streamed items, result)."""
        out = subprocess.run([f"{self.build}/bin/hilum", "--data", self.data, "--json", *words], capture_output=True, text=True)
        if check and out.returncode:
            raise RuntimeError(f"hilum {' '.join(words)}: exit {out.returncode}: {out.stdout}{out.stderr}{self.last_words()}")
        values, at, text = [], 0, out.stdout
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            value, n = json.JSONDecoder().raw_decode(text[at:])
            values.append(value)
            at += n
        return values[:-1], values[-1] if values else None

    def cli(self, *words, check=True):
        return self.cli_items(*words, check=check)[1]

    def last_words(self):
        """What a server that ended by itself wrote: a sanitizer's report, say. The test's own line never tells."""
        return "" if self.process.poll() is None else "\n" + open(f"{self.dir}/log", errors="replace").read()[:6000]


class Orthanc(Server):
    """As its users tune it: durable, Nagle off."""
    name, aet = "orthanc (tuned)", "ORTHANC"

    def __init__(self, work, destination=1, modalities=None, **more):
        super().__init__(work)
        self.http_port = free_port()
        config = {"Name": "peer", "StorageDirectory": f"{self.dir}/db", "DicomPort": self.port, "DicomAet": "ORTHANC",
                  "HttpPort": self.http_port, "SyncStorageArea": True, "RemoteAccessAllowed": False,
                  "DicomCheckCalledAet": False, "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True,
                  "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
                  "StorageCompression": False, "ConcurrentJobs": 4, "DicomThreadsCount": 8,
                  "DicomModalities": modalities or {"sink": ["SINK", "127.0.0.1", destination]}, **more}
        with open(f"{self.dir}/orthanc.json", "w") as f:
            json.dump(config, f)
        self.launch(["Orthanc", f"{self.dir}/orthanc.json"], dict(os.environ, TCP_NODELAY="1"))
        wait_for(self.http_port, self.process)

    def rest(self, path, body=None, method=None, raw=False):
        """One request: bytes are sent as they are, all else as JSON; the answer is JSON unless raw."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=body, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            data = answer.read()
        return data if raw else json.loads(data or b"null")


def has_orthanc():
    return shutil.which("Orthanc") is not None


def make_corpus(directory, studies, slices, side=64, build=BUILD):
    os.makedirs(directory, exist_ok=True)
    subprocess.run([f"{build}/bin/make-corpus", directory, str(studies), str(slices), str(side)], check=True)


def dcmsend(server, paths, is_nodelay=True, report=None):
    """Starts one dcmsend over files and directories."""
    extra = ["+crf", report] if report else []
    return subprocess.Popen(["dcmsend", "-q", "+sd", "+r", "--no-halt", *extra, "-aec", server.aet, "127.0.0.1",
                             str(server.port), *paths], env=client_env(is_nodelay), stderr=subprocess.DEVNULL)


def tag_value(path, keyword):
    out = subprocess.run(["dcmdump", "-q", "+P", keyword, path], capture_output=True, text=True).stdout
    return out.split("[", 1)[1].split("]")[0] if "[" in out else ""


def skip(why):
    print(f"skip: {why}")
    sys.exit(77)
