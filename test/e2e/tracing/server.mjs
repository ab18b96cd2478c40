// Answers with the headers that it got; at /…/fail with 503. At /relay it asks `to` first, and hands the trace on as a program does that knows of none but carries it.
import { createServer, request } from 'node:http'

const carried = ['traceparent', 'tracestate', 'b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled']

createServer((asked, answer) => {
  const own = { headers: asked.headers, url: asked.url }
  const url = new URL(asked.url, 'http://here')
  if (url.pathname.endsWith('/fail')) return answer.writeHead(503).end()
  if (url.pathname !== '/relay') return answer.end(JSON.stringify(own))
  const headers = Object.fromEntries(carried.flatMap(name => (asked.headers[name] === undefined ? [] : [[name, asked.headers[name]]])))
  request(url.searchParams.get('to'), { headers }, async reply => {
    answer.end(JSON.stringify({ ...own, behind: JSON.parse((await reply.toArray()).join('')) }))
  })
    .on('error', error => answer.writeHead(500).end(error.message))
    .end()
}).listen(Number(process.env.PORT ?? '8080'), '127.0.0.1')
