"""A hub's HTTP interface, as far as huggingface_hub uses it to make a repository, commit files and read them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """Repositories in memory: ``files[repo][path]`` is content. Large files come by LFS, as on the real one."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                hub.tokens.add(self.headers.get("authorization"))
                length = int(self.headers.get("content-length") or 0)
                hub.post(self, self.rfile.read(length))

            def do_PUT(self) -> None:
                hub.objects[self.path.rsplit("/", 1)[1]] = self.rfile.read(int(self.headers["content-length"]))
                answer(self, 200)

            def do_GET(self) -> None:
                hub.get(self)

            do_HEAD = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def post(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        path = request.path
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            self.files.setdefault(repo, {})
            answer(request, 200, {"url": f"{self.address}/{repo}", "name": repo, "id": repo})
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            modes = [{"path": file["path"], "shouldIgnore": False, "uploadMode": mode(file["path"]), "oid": None}
                     for file in json.loads(body)["files"]]  # fmt: skip
            answer(request, 200, {"files": modes})
        elif path.endswith("/info/lfs/objects/batch"):
            actions = [{**each, "actions": {"upload": {"href": f"{self.address}/lfs/{each['oid']}"}}}
                       for each in json.loads(body)["objects"]]  # fmt: skip
            answer(request, 200, {"transfer": "basic", "objects": actions})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            self.commit(found[1], body)
            answer(request, 200, {"commitUrl": f"{self.address}/{found[1]}/commit/{'a' * 40}", "commitOid": "a" * 40})
        elif path == "/api/validate-yaml":
            answer(request, 200, {"errors": [], "warnings": []})
        else:
            answer(request, 404)

    def commit(self, repo: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                content = self.objects[value["oid"]]
                assert hashlib.sha256(content).hexdigest() == value["oid"]
                self.files[repo][value["path"]] = content

    def get(self, request: BaseHTTPRequestHandler) -> None:
        if found := re.fullmatch(r"/api/models/([^?]+?)(/revision/main)?(\?.*)?", request.path):
            known = found[1] in self.files
            answer(request, 200 if known else 404, {"id": found[1], "sha": "a" * 40, "siblings": []} if known else None)
            return
        found = re.fullmatch(r"/(.+?)/resolve/[^/]+/(.+)", request.path)
        content = self.files.get(found[1], {}).get(found[2]) if found else None
        if content is None:
            answer(request, 404, headers={"X-Error-Code": "RepoNotFound"})
        else:
            digest = hashlib.sha256(content).hexdigest()
            answer(request, 200, content, {"ETag": f'"{digest}"', "X-Repo-Commit": "a" * 40})


def mode(path: str) -> str:
    return "lfs" if path.endswith(".safetensors") else "regular"


def answer(request: BaseHTTPRequestHandler, status: int, body: object = None, headers: dict | None = None) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(content)))
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)
