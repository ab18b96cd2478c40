// A server that answers with the headers and the body that it got. PORT: where; NAME: what it answers with as x-answered-by.
import { createServer } from 'node:http'

const { NAME = 'told', PORT = '8080' } = process.env

createServer(async (request, response) => {
  const body = (await request.toArray()).join('')
  response.writeHead(200, { 'x-answered-by': NAME, 'x-seen': JSON.stringify({ ...request.headers, ':path': request.url, ':body': body }) }).end(NAME)
}).listen(Number(PORT), '127.0.0.1')
