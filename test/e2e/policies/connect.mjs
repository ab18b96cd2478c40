// Connects to HOST PORT, writes a line, prints what answers and, with the argument `wait`, after how many milliseconds of silence the connection ends.
import { connect } from 'node:net'

const [host, port, wait] = process.argv.slice(2)
const socket = connect({ host, port: Number(port) }, () => socket.write('?\n'))
let began = 0
socket.on('error', error => console.log(error.code))
socket.on('data', data => {
  began = performance.now()
  console.log(String(data))
  if (wait === undefined) socket.destroy()
})
socket.on('close', () => {
  if (wait !== undefined) console.log(Math.round(performance.now() - began))
})
