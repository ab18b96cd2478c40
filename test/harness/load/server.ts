/**
 * A plain server under load: says who it is, gives back what it was sent, keeps some answers open for as long as somebody listens.
 *
 *   any path   200 after `DELAY_MS`, `x-answered-by: NAME`, the request's body and selected request fields back
 *   /ticks     an answer that never ends: a line every 100 ms
 *   TCP_PORT   gives back every byte, if given
 *
 * It handles no signal: TERM ends it on the spot, as it ends most programs.
 */

import { createServer } from 'node:http'
import { createServer as createTcp } from 'node:net'

const { NAME = 'nobody', PORT = '8080', TCP_PORT, DELAY_MS = '0' } = process.env
const delayMs = Number(DELAY_MS)

const server = createServer((request, response) => {
  const own = { 'x-answered-by': NAME, 'x-saw': `${request.headers['x-added'] ?? ''}` }
  if (request.url === '/ticks') {
    response.writeHead(200, own)
    const ticking = setInterval(() => response.write('tick\n'), 100)
    response.on('close', () => clearInterval(ticking))
    return
  }
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => {
    const body = Buffer.concat(parts)
    const answer = () => response.writeHead(200, { ...own, 'content-length': body.length }).end(body)
    if (delayMs > 0) setTimeout(answer, delayMs)
    else answer()
  })
})
server.listen(Number(PORT), '127.0.0.1')

if (TCP_PORT !== undefined) createTcp(socket => socket.on('error', () => {}).pipe(socket)).listen(Number(TCP_PORT), '127.0.0.1')
