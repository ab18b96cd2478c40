// A steady load: RATE requests a second, begun on time whatever the answers do. With OPENING=file it waits until that file is there.
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { callJson } from './json-server.mjs'

const rate = Number(process.env.RATE ?? 40)
const shop = process.env.SHOP ?? 'http://storefront:8080'
const opening = process.env.OPENING
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
while (opening !== undefined && !existsSync(opening)) await pause(20)
let sent = 0
let failed = 0
setInterval(() => {
  const number = sent++
  const path = number % 2 === 0 ? `/product?id=${number % 7}` : `/checkout?user=user${number % 5}`
  callJson(shop + path).catch(error => {
    failed++
    console.error(`${path} failed (${failed} of ${sent}): ${error.message}`)
  })
}, 1000 / rate)
