// Opens TIMES connections one after another and prints as JSON what came of each: the line that it was sent, or how it ended.
import net from 'node:net'

const [host, port, times] = process.argv.slice(2)
const tally = {}
for (let left = Number(times); left > 0; left--) {
  const told = await new Promise(resolve => {
    const socket = net.connect(Number(port), host)
    socket.on('data', data => (resolve(String(data).trim()), socket.destroy()))
    socket.on('error', error => resolve(error.code))
    socket.on('close', () => resolve('closed'))
  })
  tally[told] = (tally[told] ?? 0) + 1
}
console.log(JSON.stringify(tally))
