// Sends a datagram every 50 ms from one socket to HOST PORT. Prints a line when the first answer comes, and one when none has come for a second.
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'

const [host, port] = process.argv.slice(2)
const say = how => console.log(JSON.stringify({ what: 'udp', how, at: last }))
const { address } = await lookup(host, 4)
const socket = createSocket('udp4')
let last = 0
let isOpen = false
socket.on('error', () => {})
socket.on('message', () => {
  last = Date.now()
  if (!isOpen) say('open')
  isOpen = true
})
setInterval(() => {
  socket.send('hello', Number(port), address)
  if (!isOpen || Date.now() - last < 1000) return
  say('ended')
  process.exit(0)
}, 50)
