/**
 * A workload of the tests of storms: it does what the file MODE says (looked at ten times a second) and writes to the file SEEN how often it was asked.
 * A status; `hang`: no answer; `30%`: so many are answered 503; `429 2`: with a Retry-After of so many seconds; `slow 200`: after so many milliseconds.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import process from 'node:process'

const { MODE, SEEN, NAME } = process.env
let [mode, seen, told] = ['200', 0, -1]
const look = () => {
  mode = readFileSync(MODE, 'utf8').trim() || mode
  if (seen !== told) writeFileSync(SEEN, String((told = seen)))
}
look()
setInterval(look, 100)

http
  .createServer((request, reply) => {
    const number = ++seen
    const [what, more] = mode.split(' ')
    request.resume().on('end', () => {
      if (what === 'hang') return
      if (what === 'slow') return setTimeout(() => reply.end(NAME), Number(more))
      if (what.endsWith('%')) return reply.writeHead((number * 37) % 100 < Number.parseInt(what, 10) ? 503 : 200).end(NAME)
      return reply.writeHead(Number(what), more === undefined ? {} : { 'retry-after': more }).end(NAME)
    })
  })
  .listen(8080)
