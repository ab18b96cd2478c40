// Holds a connection open for three seconds, saying something now and then, and prints how it went: NAME held, or NAME ended.
import net from 'node:net'

const [host, port] = process.argv.slice(2)
const socket = net.connect({ host, port: Number(port) })
const over = how => {
  console.log(`${host} ${how}`)
  process.exit(0)
}
socket.on('error', () => over('ended'))
socket.on('close', () => over('ended'))
socket.resume()
setInterval(() => socket.write('x'), 100)
setTimeout(() => over('held'), 6000)
