"""Python's httpx: POSTs a megabyte to the URL over HTTP/1.1 or, where asked, HTTP/2 in plaintext; prints version, status and length of the echo."""

import sys

import httpx

with httpx.Client(http1=sys.argv[1] == "1", http2=sys.argv[1] == "2", trust_env=False) as client:
    answer = client.post(sys.argv[2], content=bytes(1 << 20))
    print(answer.http_version, answer.status_code, len(answer.content))
