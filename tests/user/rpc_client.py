# SPDX-License-Identifier: BSD-3-Clause
# rpc_client.py - a client of the control socket that shares no code with it.
import json
import socket
import sys

sock = socket.socket(socket.AF_UNIX)
sock.settimeout(20)
sock.connect(sys.argv[1])
lines = sock.makefile()


def call(document):
    sock.sendall(json.dumps(document, indent=1).encode())
    return json.loads(lines.readline())


def request(method, request_id, **params):
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": request_id}


answer = call(request("target.info", "a"))
assert answer["id"] == "a" and answer["jsonrpc"] == "2.0" and answer["result"]["pid"] > 0, answer

notification = {"jsonrpc": "2.0", "method": "ns.add", "params": ["null:?size=1M", 77]}
answer = call([notification, request("ns.list", 1), request("nothing", 2), {"jsonrpc": "2.0"}])
by_id = {a["id"]: a for a in answer}
assert len(answer) == 3, answer
assert 77 in [ns["nsid"] for ns in by_id[1]["result"]], answer
assert by_id[2]["error"]["code"] == -32601, answer
assert by_id[None]["error"]["code"] == -32600, answer

sock.sendall(b"{nonsense}\n")
answer = json.loads(lines.readline())
assert answer["error"]["code"] == -32700 and answer["id"] is None, answer
