// Who wants what; kept in the key-value store, one connection held open.
import net from 'node:net'
import readline from 'node:readline'
import { serveJson } from './json-server.mjs'

let store
/** One line out, one line back, in order. */
function ask(line) {
  if (!store || store.socket.destroyed) {
    const socket = net.connect(6380, 'kv')
    const waiting = []
    const fail = () => waiting.splice(0).forEach(({ reject }) => reject(new Error('the key-value store is gone')))
    socket.on('error', fail).on('close', fail)
    readline
      .createInterface({ input: socket })
      .on('line', answer => waiting.shift()?.resolve(answer))
      .on('error', fail)
    store = { socket, waiting }
  }
  const { socket, waiting } = store
  return new Promise((resolve, reject) => {
    waiting.push({ resolve, reject })
    socket.write(`${line}\n`)
  })
}

serveJson({
  'POST /add': async (_url, { user, item }) => ({ stored: await ask(`SET cart:${user} ${item}`) }),
  'GET /cart': async url => ({ items: [await ask(`GET cart:${url.searchParams.get('user')}`)] }),
})
