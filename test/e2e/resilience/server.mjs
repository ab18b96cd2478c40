/** A workload of the tests of resilience: it does what the file MODE says at each moment, and counts in the file SEEN what it was asked, one byte each. */
import { appendFileSync, readFileSync } from 'node:fs'
import http from 'node:http'
import process from 'node:process'

const { MODE, SEEN, NAME } = process.env
http
  .createServer((request, reply) => {
    appendFileSync(SEEN, '.')
    const mode = readFileSync(MODE, 'utf8').trim()
    request.resume().on('end', () => {
      if (mode === 'hang-up') request.socket.destroy()
      else if (mode === 'hold') setTimeout(() => reply.end(NAME), 1500)
      else reply.writeHead(Number(mode)).end(NAME)
    })
  })
  .listen(8080)
