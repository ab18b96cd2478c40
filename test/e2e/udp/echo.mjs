// Answers each datagram with its own name, the port that it came from, and the datagram. Listens on both families.
import dgram from 'node:dgram'

const [name, port] = process.argv.slice(2)
const socket = dgram.createSocket('udp6')
socket.on('message', (bytes, from) =>
  socket.send(Buffer.concat([Buffer.from(`${name} ${from.port} `), bytes]), from.port, from.address),
)
socket.bind(Number(port), '::')
