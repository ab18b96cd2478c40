// Sends three datagrams to HOST PORT one after another, each from a socket of its own, and prints what each got back, or the error.
import { createSocket } from 'node:dgram'

const [host, port] = process.argv.slice(2)
const said = []
for (let left = 3; left > 0; left--)
  said.push(
    await new Promise(resolve => {
      const socket = createSocket('udp4')
      const timer = setTimeout(() => resolve('silence'), 5_000)
      const done = how => {
        clearTimeout(timer)
        socket.close()
        resolve(how)
      }
      socket.on('message', () => done('heard'))
      socket.on('error', error => done(error.code))
      socket.connect(Number(port), host, () => socket.send('hello'))
    }),
  )
console.log(said.join(' '))
