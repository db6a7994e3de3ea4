"""nginx as a plain proxy: what forwarding bytes costs in C. From Debian's package, where there is none."""

import os
import shutil
import subprocess
from pathlib import Path

from call import Target

from peers.cache import installed, need, run
from peers.peer import Absent, Peer, Place, Start

CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
error_log stderr error;
pid nginx.pid;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream provider { server PROVIDER; keepalive 4096; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:PORT backlog=4096;
        location / {
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
"""


class Nginx(Peer):
    """One master and one worker."""

    name = "nginx"
    does = "nothing: a proxy in C"

    def install(self) -> str:
        self._program = shutil.which("nginx") or str(installed("nginx", _unpack) / "root/usr/sbin/nginx")
        try:
            said = subprocess.run([self._program, "-v"], check=True, capture_output=True, text=True).stderr
        except (OSError, subprocess.CalledProcessError) as error:
            raise Absent(f"nginx does not run here: {error}") from error
        return said.rpartition("/")[2].strip()

    def prepare(self, place: Place) -> Start:
        text = CONFIGURATION.replace("PORT", str(place.port)).replace("PROVIDER", place.provider_url.partition("//")[2])
        if os.geteuid():
            text = text.replace("user root;", "")
        path = place.folder / "nginx.conf"
        path.write_text(text)
        return Start([self._program, "-p", str(place.folder), "-c", str(path)], Target(place.url))


def _unpack(folder: Path) -> None:
    download = [need("apt-get"), "download", "nginx"]
    try:
        run(download, folder)
    except Absent:
        if os.geteuid():
            raise
        run(["apt-get", "update"], folder)  # a new machine has no list of packages yet
        run(download, folder)
    (package,) = folder.glob("nginx_*.deb")
    run([need("dpkg"), "-x", str(package), "root"], folder)
