/** Any process of the demo may be killed: the others live and serve on, and `weft status` tells what is gone. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../../src/api/client.ts'
import { Mesh, root } from '../harness/mesh.ts'

const programs = ['catalog', 'reviews', 'payments', 'kv', 'mail', 'cart', 'orders', 'storefront', 'shoppers']

type Found = { readonly pid: number; readonly parent: number; readonly command: readonly string[]; readonly env: string }

/** The living processes whose environment names the folder. */
function processesOf(folder: string): readonly Found[] {
  return readdirSync('/proc').flatMap(name => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
      const env = readFileSync(`/proc/${name}/environ`, 'utf8')
      if (stat[0] === 'Z' || !env.includes(folder)) return []
      return [{ pid: Number(name), parent: Number(stat[1]), command: readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0'), env }]
    } catch {
      return [] // it ended meanwhile, or is another user's
    }
  })
}

test('proxies, applications and the control plane of the demo are killed one by one, the others go on', async t => {
  await using place = new Mesh()
  const demo = place.spawn([process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'src/bin/weft.ts'), 'demo'], {
    env: { TMPDIR: place.folder },
  })
  await place.until('the demo runs', () => /Dashboard +http/.test(demo.stderr) || demo.child.exitCode !== null, 60_000)
  place.url = /Dashboard +(http\S+)/.exec(demo.stderr)![1]!
  place.client = connect(place.url)

  const isProxy = ({ command, parent }: Found): boolean => command.includes('run') && parent === demo.child.pid
  const proxyOf = (name: string) => processesOf(place.folder).find(found => isProxy(found) && found.command.at(-2) === `${name}.mjs`)
  const programOf = (name: string) => processesOf(place.folder).find(({ command }) => command.length === 3 && command[1] === `${name}.mjs`)
  const gone = new Set<string>()
  const { admin } = (await place.client.proxies()).find(({ service }) => service === 'storefront')!
  /** Requests that the storefront has answered well by now. */
  const answered = async (): Promise<number> => {
    const text = await (await fetch(`${admin}/metrics`)).text()
    const own = text
      .split('\n')
      .filter(line => line.startsWith('weft_requests_total') && line.includes('direction="inbound"') && line.includes('code="200"'))
    return own.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }
  const othersGoOn = async (): Promise<void> => {
    for (const name of programs)
      if (!gone.has(name)) assert.ok(programOf(name) !== undefined && proxyOf(name) !== undefined, `${name} is gone too:\n${demo.stderr}`)
    const before = await answered()
    await place.until('the storefront answers on', async () => (await answered()) > before + 5)
    assert.equal(demo.child.exitCode, null)
  }
  await othersGoOn()

  for (const [name, what] of [
    ['kv', 'proxy'],
    ['mail', 'program'],
    ['payments', 'proxy'],
    ['cart', 'program'],
  ] as const) {
    const doomed = what === 'proxy' ? proxyOf(name) : programOf(name)
    process.kill(doomed!.pid, 'SIGKILL')
    gone.add(name)
    await place.until(`proxy and program of ${name} are gone`, () => proxyOf(name) === undefined && programOf(name) === undefined)
    await othersGoOn()
  }
  const status = await place.weft('status')
  assert.notEqual(status.code, 0)
  for (const name of ['kv', 'payments']) assert.match(status.stdout, new RegExp(`${name}-\\w+\\.default is disconnected`))
  assert.doesNotMatch(status.stdout, /(mail|cart)-\w+\.default/, 'who said good-bye is not missed')

  process.kill(
    processesOf(place.folder).find(({ command, parent }) => command.includes('control') && parent === demo.child.pid)!.pid,
    'SIGKILL',
  )
  await place.until('the control plane is missed', () => demo.stderr.includes('control ended'))
  await othersGoOn()
  const down = await place.weft('status')
  assert.notEqual(down.code, 0)
  assert.match(down.stdout, /control plane\s+down/)
  assert.match(down.stdout, /storefront-\w+\.default\s+serving/)
  t.diagnostic(
    demo.stderr
      .split('\n')
      .filter(line => line.startsWith('✗'))
      .join('\n'),
  )

  assert.equal((await demo.stop('SIGTERM')).code, 0)
  assert.deepEqual(
    processesOf(place.folder).map(({ command }) => command.join(' ')),
    [],
  )
})
