# A WSGI application, which reads headers as CGI does: prints what it was told of a request as JSON. Its one argument: the port.
import json, sys
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


def told(environ, start_response):
    body = json.dumps({k: v for k, v in environ.items() if k.startswith("HTTP_")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


make_server("127.0.0.1", int(sys.argv[1]), told, handler_class=Silent).serve_forever()
