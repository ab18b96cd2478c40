"""One socket that asks ten times a second until it heard two servers, or its time is over. Prints each server as it first answers."""
import socket, sys, time

host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(0.1)
place = (socket.gethostbyname(host), port)
heard = []
end = time.time() + seconds
while time.time() < end and len(heard) < 2:
    try:
        asker.sendto(b"who?", place)
        name = asker.recv(999).decode().split(" ")[0]
        if name not in heard:
            heard.append(name)
            print(name, flush=True)
        time.sleep(0.1)
    except OSError:
        pass
