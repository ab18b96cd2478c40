// Takes an order: the payment first, then a mail through a server that greets before anybody speaks.
import net from 'node:net'
import readline from 'node:readline'
import { callJson, serveJson } from './json-server.mjs'

/** The start of SMTP: wait for the greeting, say hello, say goodbye. */
function notify(user) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(2525, 'mail')
    socket.on('error', reject).setTimeout(10_000, () => socket.destroy(new Error('the mail server said nothing')))
    const say = { 220: `HELO ${user}`, 250: 'QUIT' }
    readline
      .createInterface({ input: socket })
      .on('line', line => {
        const code = line.slice(0, 3)
        if (code === '221') {
          socket.end()
          resolve(true)
        } else socket.write(`${say[code]}\r\n`)
      })
      .on('error', reject)
  })
}

let number = 0
serveJson({
  'POST /order': async (_url, { user, items }) => {
    const payment = await callJson('http://payments:8080/pay', { user, cents: 350 })
    const mailed = await notify(user)
    return { order: ++number, user, items, paid: payment.paid, mailed }
  },
})
