// Sends COUNT datagrams to HOST:PORT and prints how many came back, and after how many milliseconds each, ascending.
import dgram from 'node:dgram'
import { lookup } from 'node:dns/promises'

const [host, port, count] = process.argv.slice(2)
const { address } = await lookup(host, 4)
const socket = dgram.createSocket('udp4')
const ms = []
socket.on('message', bytes => ms.push(Math.round(performance.now() - Number(String(bytes)))))
socket.connect(Number(port), address, async () => {
  for (let sent = 0; sent < Number(count); sent++) {
    socket.send(String(performance.now()))
    await new Promise(done => setTimeout(done, 5))
  }
  let before = -1
  while (ms.length > before) {
    before = ms.length
    await new Promise(done => setTimeout(done, 700))
  }
  socket.close()
  console.log(JSON.stringify({ back: ms.length, ms: ms.sort((a, b) => a - b) }))
})
