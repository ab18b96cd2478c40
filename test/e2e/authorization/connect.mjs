// Connects TIMES times to HOST PORT, says hello, and prints as JSON how often it came back, and how often the connection ended without it.
import { connect } from 'node:net'

const [host, port, times] = process.argv.slice(2)
const tally = {}
for (let left = Number(times); left > 0; left--) {
  const said = await new Promise(resolve => {
    const socket = connect(Number(port), host, () => socket.write('hello'))
    socket.on('error', () => {})
    socket.on('close', () => resolve('refused'))
    socket.once('data', bytes => {
      resolve(String(bytes))
      socket.destroy()
    })
  })
  tally[said] = (tally[said] ?? 0) + 1
}
console.log(JSON.stringify(tally))
