"""SMTP, where the server speaks first: `server PORT` keeps messages in memory and answers VRFY with how many; `client PORT` sends one and asks."""

import smtplib
import sys
import time

port = int(sys.argv[2])
if sys.argv[1] == "server":
    from aiosmtpd.controller import Controller

    kept = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            kept.append(envelope.content)
            return "250 kept"

        async def handle_VRFY(self, server, session, envelope, address):
            return f"252 {len(kept)} kept, {len(kept[-1])} bytes"

    Controller(Handler(), hostname="127.0.0.1", port=port).start()
    while True:
        time.sleep(60)
with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
    client.sendmail("a@mesh.local", ["b@mesh.local"], "Subject: hello\r\n\r\n" + "line\r\n" * 20000)
    print(client.verify("x")[1].decode())
