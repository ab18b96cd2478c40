// TLS to HOST PORT for the server name NAME, whose hello begins MS after the connection; its first byte goes ahead by as much again. Prints the answer's first line, or how it failed.
import net from 'node:net'
import { Duplex } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import tls from 'node:tls'

const [host, port, servername, ms] = process.argv.slice(2)
const raw = net.connect({ host, port: Number(port) })
raw.on('error', error => slow.destroy(error))
let isFirst = true
const slow = new Duplex({
  read: () => raw.resume(),
  async write(bytes, _, done) {
    if (isFirst) {
      isFirst = false
      await pause(Number(ms))
      raw.write(bytes.subarray(0, 1))
      await pause(Number(ms))
      raw.write(bytes.subarray(1), done)
    } else raw.write(bytes, done)
  },
})
raw.on('data', bytes => slow.push(bytes) || raw.pause())
raw.on('close', () => slow.push(null))
const secure = tls.connect({ socket: slow, servername, rejectUnauthorized: false }, () =>
  secure.write(`GET / HTTP/1.1\r\nhost: ${servername}\r\nconnection: close\r\n\r\n`),
)
const say = text => {
  console.log(text)
  process.exit(0)
}
secure.once('data', bytes => say(String(bytes).split('\r\n')[0]))
secure.on('error', error => say(error.code))
secure.on('close', () => say('closed'))
