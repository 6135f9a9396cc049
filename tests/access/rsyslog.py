"""Debian's rsyslog as the collector of a house: imtcp with GnuTLS, clients known by certificate; what it understood of each message, in
a file. SPDX-License-Identifier: Apache-2.0"""
import json, os, shutil, subprocess

from collector import check
from peers import free_port

CONF = """global(workDirectory="{dir}" maxMessageSize="64k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{name}.pem" defaultNetstreamDriverKeyFile="{name}.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="fields" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf") property(outname="protocol" name="protocol-version" format="jsonf")
  property(outname="app" name="app-name" format="jsonf") property(outname="msgid" name="msgid" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf") property(outname="msg" name="msg" format="jsonf") }}
action(type="omfile" file="{dir}/told" template="fields")
"""


def is_there():
    return shutil.which("rsyslogd") and os.path.exists("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so")


class Rsyslog:
    def __init__(self, work, name, ca):
        self.dir, self.port = f"{work}/rsyslog", free_port()
        os.mkdir(self.dir)
        with open(f"{self.dir}/conf", "w") as f:
            f.write(CONF.format(dir=self.dir, ca=ca, name=name, port=self.port))
        self.start()

    def start(self):
        self.process = subprocess.Popen(["rsyslogd", "-n", "-f", f"{self.dir}/conf", "-i", f"{self.dir}/pid"], stderr=open(f"{self.dir}/err", "a"))

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def messages(self):
        """What it understood, with the message parsed by the schema; each line must be one."""
        told = []
        if os.path.exists(f"{self.dir}/told"):
            for line in open(f"{self.dir}/told"):
                fields = json.loads(line)
                fields["xml"] = check(fields["msg"].lstrip("\ufeff"))
                fields["event"] = fields["xml"][0][0].get("csd-code")
                told.append(fields)
        return told
