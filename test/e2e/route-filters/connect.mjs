// Connects TIMES times to HOST PORT, says hello, and prints as JSON how often what came back, and the milliseconds of each.
import { connect } from 'node:net'

const [host, port, times] = process.argv.slice(2)
const tally = {}
const ms = []
for (let left = Number(times); left > 0; left--) {
  const began = performance.now()
  const said = await new Promise(resolve => {
    const socket = connect(Number(port), host, () => socket.write('hello'))
    socket.on('error', error => resolve(error.code))
    socket.on('close', () => resolve('closed'))
    socket.once('data', bytes => {
      resolve(String(bytes))
      socket.destroy()
    })
  })
  ms.push(Math.round(performance.now() - began))
  tally[said] = (tally[said] ?? 0) + 1
}
console.log(JSON.stringify({ tally, ms: ms.sort((a, b) => a - b) }))
