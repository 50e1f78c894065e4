"""A business program behind zhongkong that echoes (docs/forward.md): ZHONGKONG_SECRET=… app.py [PORT]"""
import hashlib, hmac, http.server, json, os, sys, time

SECRET = os.environ["ZHONGKONG_SECRET"].strip().encode()


def genuine(headers, body):
    timestamp = headers.get("X-Zhongkong-Timestamp", "")
    if not timestamp.isascii() or not timestamp.isdigit() or abs(time.time() - int(timestamp)) > 300:
        return False  # Old: somebody repeats what they overheard.
    expected = "v1=" + hmac.new(SECRET, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), headers.get("X-Zhongkong-Signature", "").encode())


def answer(message):
    if message["type"] == "text":
        return {"reply": {"text": message["fields"]["Content"]}}
    if message["event"] == "subscribe":
        return {"reply": {"text": f"Welcome! You came by {message['scene'] or 'yourself'}."}}
    return {"reply": "none"}


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Connections are kept.

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        genuinely = genuine(self.headers, body)
        said = json.dumps(answer(json.loads(body)["message"]) if genuinely else {}).encode()
        self.send_response(200 if genuinely else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


server = http.server.ThreadingHTTPServer(("127.0.0.1", int((sys.argv[1:] or ["8080"])[0])), App)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
