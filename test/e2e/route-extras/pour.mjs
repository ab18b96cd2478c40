// Sends BYTES to HOST:PORT, reads as many back, and prints how many milliseconds that took.
import net from 'node:net'

const [host, port, bytes] = process.argv.slice(2)
const began = performance.now()
let left = Number(bytes)
const socket = net.connect(Number(port), host, () => socket.end(Buffer.alloc(left)))
socket.on('data', part => (left -= part.length))
socket.on('close', () => console.log(JSON.stringify({ ms: Math.round(performance.now() - began), left })))
