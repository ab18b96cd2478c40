// Connects ten times, thirty on a machine that is slow, and prints the shortest time to the greeting, in milliseconds, and what came back. node greeted.mjs HOST PORT
import net from 'node:net'

const [host, port] = process.argv.slice(2)
const times = []
let said = ''
for (let turn = 0; turn < 10 || (turn < 30 && Math.min(...times) > 40); turn++) {
  const begun = performance.now()
  said = await new Promise((resolve, reject) => {
    let text = ''
    const socket = net.connect({ host, port: Number(port), allowHalfOpen: true })
    socket.on('error', reject)
    socket.once('data', () => {
      times.push(performance.now() - begun)
      socket.end('last word')
    })
    socket.on('data', bytes => (text += bytes))
    socket.on('end', () => resolve(text))
  })
}
console.log(JSON.stringify({ least: Math.min(...times), said }))
