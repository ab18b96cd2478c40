/** A workload that asks URL so many times a second for so many seconds, whatever becomes of it; prints the tally, and for each tenth of a second how many of those that began then were answered well. */
import http from 'node:http'
import process from 'node:process'

const [url, perSecond, seconds] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true, maxSockets: 2000 })
const tally = {}
const tenths = Array.from({ length: Number(seconds) * 10 }, () => ({ asked: 0, well: 0 }))

const ask = () =>
  new Promise(resolve => {
    http
      .get(url, { agent }, answer => {
        let text = ''
        answer.setEncoding('utf8').on('data', part => (text += part))
        answer.on('end', () => resolve(`${answer.statusCode} ${answer.headers['x-weft-error'] ?? text}`)).on('error', () => resolve('broken'))
      })
      .on('error', error => resolve(error.code ?? 'failed'))
  })

const began = performance.now()
const all = []
const total = Number(perSecond) * Number(seconds)
for (let sent = 0; sent < total; ) {
  const passed = performance.now() - began
  const due = Math.min(total, Math.floor((passed * Number(perSecond)) / 1000) + 1)
  for (; sent < due; sent++) {
    const tenth = tenths[Math.min(tenths.length - 1, Math.floor(passed / 100))]
    tenth.asked++
    all.push(
      ask().then(told => {
        tally[told] = (tally[told] ?? 0) + 1
        if (told.startsWith('200')) tenth.well++
      }),
    )
  }
  await new Promise(resolve => setTimeout(resolve, 2))
}
const askedFor = (performance.now() - began) / 1000
await Promise.all(all)
console.log(JSON.stringify({ tally, asked: total, seconds: askedFor, tenths }))
process.exit(0)
