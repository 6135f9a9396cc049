"""Starts Hilum with the client as a peer and runs client.js against it."""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
from peers import Hilum, free_port, make_corpus

work = tempfile.mkdtemp(prefix="hilum-dcmjs-")
make_corpus(f"{work}/corpus", 1, 12)
own = free_port()
server = Hilum(work, f'peers = ( {{ name = "DCMJS"; aet = "DCMJS"; host = "127.0.0.1"; port = {own}; }} );')
code = subprocess.run(["node", sys.argv[1], str(server.port), str(own), f"{work}/corpus"], timeout=120).returncode
code = code or server.stop()
shutil.rmtree(work, ignore_errors=True)
sys.exit(code)
