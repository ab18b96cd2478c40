/** The revocation list of an authority that is not the mesh's own, made by openssl: who is on it is cut off on open connections, and one that has ended refuses nobody else. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { installed } from '../conformance/peers.ts'
import { certify } from '../harness/certify.ts'
import { Mesh, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const found = installed('openssl')
const skip = verdict.ok ? ('missing' in found ? found.missing : false) : `${verdict.why}: ${verdict.remedy}`

describe("a revocation list of the operator's", { skip, timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-crl-'))
  const file = (name: string): string => join(folder, name)
  const openssl = (...args: readonly string[]): void => void execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const own = ['-config', file('ca.cnf'), '-cert', file('ca.pem'), '-keyfile', file('ca.key')]
  const publish = (...life: readonly string[]): void => openssl('ca', '-gencrl', ...own, '-crlexts', 'v2', ...life, '-out', file('crl.pem'))
  let mesh: Mesh
  let friend: Shell
  let thief: Shell

  before(async () => {
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
    certify({ key: file('ca.key'), cert: file('ca.pem'), days: 30, subject: '/CN=company', extensions })
    chmodSync(file('ca.key'), 0o600)
    writeFileSync(file('index.txt'), '')
    writeFileSync(file('crlnumber'), '1000\n')
    writeFileSync(
      file('ca.cnf'),
      `[ca]\ndefault_ca=own\n[own]\ndatabase=${file('index.txt')}\ncrlnumber=${file('crlnumber')}\ndefault_md=sha256\n[v2]\nauthorityKeyIdentifier=keyid\n`,
    )
    publish('-crldays', '1')
    const settings = { type: 'Files', certificate: file('ca.pem'), key: file('ca.key'), roots: file('ca.pem'), crl: file('crl.pem') }
    writeFileSync(file('authority.yaml'), JSON.stringify(settings))
    mesh = await Mesh.start({ control: ['--authority', file('authority.yaml')] })
    const echo = join(import.meta.dirname, 'route-filters', 'echo.mjs')
    mesh.run('raw', [process.execPath, echo], { flags: ['--port', '7000/tcp'] })
    await mesh.healthy('raw')
    friend = mesh.shell('friend')
    thief = mesh.shell('thief')
    await Promise.all([friend.says('true'), thief.says('true')])
  })
  after(async () => {
    // Else what they hold open is waited for.
    for (const shell of [friend, thief]) await shell?.do('kill $(jobs -p) 2>/dev/null')
    await friend?.[Symbol.asyncDispose]()
    await thief?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Says something each 50 ms on one connection. Returns what is known of it. */
  async function hold(shell: Shell, name: string): Promise<() => string> {
    const program = `const s = require('net').connect(7000, 'raw', () => setInterval(() => s.write('x'), 50)); s.once('data', () => console.log('open')); s.on('error', () => {}); s.on('close', () => { console.log('closed'); process.exit() })`
    await shell.says(`${process.execPath} -e ${JSON.stringify(program)} > ${join(mesh.folder, name)} 2>&1 & true`)
    const told = (): string => readFileSync(join(mesh.folder, name), 'utf8')
    await mesh.until('an open connection', () => told().includes('open'))
    return told
  }

  test('whom it names is cut off, on an open connection too, and others are not', async () => {
    const [stolen, other] = [await hold(thief, 'thief.log'), await hold(friend, 'friend.log')]
    const kept = execFileSync('sh', ['-c', `cat $(find ${mesh.folder}/state -path '*thief*' -name certificate.pem | head -1)`]).toString()
    writeFileSync(file('leaf.pem'), /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(kept)![0])
    openssl('ca', ...own, '-revoke', file('leaf.pem'), '-crl_reason', 'keyCompromise')
    publish('-crldays', '1')
    await mesh.until('its connection ends', () => stolen().includes('closed'), 30_000)
    assert.doesNotMatch(other(), /closed/)
    assert.match(mesh.logs(), /of \S+\/sa\/thief is on the revocation list of its authority/)
    await hold(friend, 'friend-2.log')
  })

  test('a list that has ended refuses nobody else, still names whom it named, and weft cert doctor says so', async () => {
    publish('-crlsec', '1')
    await mesh.until('the doctor says so', async () => {
      const { code, stdout } = await mesh.weft('cert', 'doctor')
      return code === 1 && /list\s+CN=company .*expired/.test(stdout) && /whom it names stays revoked, and nobody else/.test(stdout)
    })
    await hold(friend, 'friend-3.log')
    const told = await thief.do(
      `timeout 5 ${process.execPath} -e "require('net').connect(7000, 'raw').on('error', () => process.exit(3)).on('data', () => process.exit(0)).on('close', () => process.exit(4)).write('x')"`,
    )
    assert.notEqual(told.code, 0, told.output)
  })
})
