/** A workload that calls: URL, METHOD, requests in all and at how many a second; prints how often it got what. `by`: how it speaks, 1 or 2. */
import http from 'node:http'
import http2 from 'node:http2'
import process from 'node:process'

const [url, method, times, perSecond, by = '1'] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
const session = by === '2' ? http2.connect(url) : undefined

const overHttp1 = () =>
  new Promise(resolve => {
    http
      .request(url, { method, agent }, answer => {
        let text = ''
        answer.setEncoding('utf8').on('data', part => (text += part))
        answer.on('end', () => resolve(`${answer.statusCode} ${answer.headers['x-weft-error'] ?? text}`)).on('error', () => resolve('broken'))
      })
      .on('error', error => resolve(error.code ?? 'failed'))
      .end(method === 'POST' ? 'something' : undefined)
  })
const overHttp2 = () =>
  new Promise(resolve => {
    const stream = session.request({ ':method': method, ':path': '/' }, { endStream: method !== 'POST' })
    if (method === 'POST') stream.end('something')
    let [text, status] = ['', '']
    stream.setEncoding('utf8').on('response', headers => (status = `${headers[':status']} ${headers['x-weft-error'] ?? ''}`))
    stream.on('data', part => (text += part)).on('end', () => resolve(status.endsWith(' ') ? status + text : status))
    stream.on('error', error => resolve(error.code ?? 'failed'))
  })

const tally = {}
const began = performance.now()
const all = []
for (let at = 0; at < Number(times); at++) {
  const dueMs = (at * 1000) / Number(perSecond) - (performance.now() - began)
  if (dueMs > 1) await new Promise(resolve => setTimeout(resolve, dueMs))
  all.push((session === undefined ? overHttp1() : overHttp2()).then(told => (tally[told] = (tally[told] ?? 0) + 1)))
}
await Promise.all(all)
console.log(JSON.stringify({ tally, seconds: (performance.now() - began) / 1000 }))
process.exit(0)
