// Holds a connection (tcp, tls or udp) open for six seconds, saying something now and then, and prints how it went: NAME held, or NAME ended.
import dgram from 'node:dgram'
import net from 'node:net'
import tls from 'node:tls'

const [host, port, how = 'tcp'] = process.argv.slice(2)
const over = end => {
  console.log(`${host} ${end}`)
  process.exit(0)
}
if (how === 'udp') {
  const socket = dgram.createSocket('udp4')
  socket.on('error', () => over('ended'))
  socket.connect(Number(port), host, () => setInterval(() => socket.send('x'), 100))
} else {
  const socket =
    how === 'tls' ? tls.connect({ host, port: Number(port), servername: host, rejectUnauthorized: false }) : net.connect({ host, port: Number(port) })
  socket.on('error', () => over('ended'))
  socket.on('close', () => over('ended'))
  socket.resume()
  // Of HTTP half a head, that is not answered.
  setInterval(() => how === 'tcp' && socket.write('x'), 100)
}
setTimeout(() => over('held'), 6000)
