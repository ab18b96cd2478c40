// A plain server that writes a line for each request into the file SEEN: method, path, Host and the size of its body. With STUCK it never answers.
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

const { NAME = 'nobody', SEEN = '/dev/null', STUCK } = process.env

createServer((request, response) => {
  let bytes = 0
  request.on('data', part => (bytes += part.length))
  request.on('end', () => {
    appendFileSync(SEEN, `${request.method} ${request.url} ${request.headers.host} ${bytes}\n`)
    if (STUCK === undefined) response.writeHead(200, { 'x-answered-by': NAME }).end(NAME)
  })
}).listen(8080, '127.0.0.1')
