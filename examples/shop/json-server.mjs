// A JSON server and client on Node's own http module; what any small service would use.
import http from 'node:http'

const agent = new http.Agent({ keepAlive: true })

/** routes: { 'GET /path': async (url, body) => value } */
export function serveJson(routes, port = Number(process.env.PORT ?? 8080)) {
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, 'http://here')
    const route = routes[`${request.method} ${url.pathname}`]
    try {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const value = route ? await route(url, chunks.length > 0 ? JSON.parse(Buffer.concat(chunks)) : undefined) : undefined
      const body = JSON.stringify(value ?? { error: `nothing at ${request.method} ${url.pathname}` })
      response.writeHead(route ? 200 : 404, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body)
    } catch (error) {
      response.writeHead(502, { 'content-type': 'application/json' }).end(JSON.stringify({ error: error.message }))
    }
  })
  server.listen(port, () => console.log(`listening on ${port}`))
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => server.close(() => process.exit(0)).closeIdleConnections())
}

export function callJson(url, body) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    const request = http.request(url, { agent, method: text === undefined ? 'GET' : 'POST', headers, timeout: 10_000 }, response => {
      const chunks = []
      response
        .on('data', chunk => chunks.push(chunk))
        .on('error', reject)
        .on('end', () => {
          if (response.statusCode !== 200) return reject(new Error(`${url} answered ${response.statusCode}: ${Buffer.concat(chunks)}`))
          resolve(JSON.parse(Buffer.concat(chunks)))
        })
    })
    request.on('error', reject).on('timeout', () => request.destroy(new Error(`${url} did not answer in time`)))
    request.end(text)
  })
}
