"""Many sockets at once to one service: each must hear its own answers, in order. Prints what was wrong, or how many sources the server saw."""
import select, socket, sys

host, port, count, turns, family = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
address = socket.gethostbyname(host)
place = (address, port) if family == "4" else ("::ffff:" + address, port)
sockets = [socket.socket(socket.AF_INET if family == "4" else socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(count)]
for each in sockets:
    each.connect(place)
sources = set()
for turn in range(turns):
    for number, each in enumerate(sockets):
        each.send(f"{number}/{turn}".encode())
    for number, each in enumerate(sockets):
        # As programs on UDP do: what is not answered is asked again, and a late answer to an earlier question is passed over.
        tries = 1
        while True:
            if not select.select([each], [], [], 3)[0]:
                if (tries := tries + 1) > 4:
                    sys.exit(f"socket {number} heard nothing in turn {turn}")
                each.send(f"{number}/{turn}".encode())
                continue
            name, source, said = each.recv(999).decode().split(" ")
            whose, _, asked = said.partition("/")
            if whose != str(number) or int(asked) > turn:
                sys.exit(f"socket {number} heard {said} in turn {turn}")
            sources.add(source)
            if int(asked) == turn:
                break
print(len(sources))
