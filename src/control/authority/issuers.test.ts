/** Authorities that are not the mesh's own: files of the operator's and a program are used as they should be, and what they give is judged. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { systemClock } from '#base/clock'
import { silent } from '#base/log'
import { makeCsr } from '#identity/csr'
import { newKey } from '#identity/key'
import { workloadId } from '#identity/spiffe'
import { temporaryFolder } from '#io/files'
import { readAuthorityFile } from '#resources/authority-file'
import { type Authority, openAuthority, openIssuer } from '../authority.ts'

const trustDomain = 'test.mesh'
const orders = workloadId(trustDomain, { namespace: 'default', serviceAccount: 'orders' })

const openssl = (...args: string[]): string => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()

/** A root and an intermediate such as a company has: of openssl, with keys of that kind. */
function company(folder: string, kind: 'ec' | 'rsa', name = 'company'): void {
  const key = kind === 'ec' ? ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'] : ['-newkey', 'rsa:2048']
  const file = (part: string): string => `${folder}/${name}-${part}`
  const ca = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign']
  openssl(
    'req',
    '-x509',
    ...key,
    '-nodes',
    '-keyout',
    file('root.key'),
    '-out',
    file('root.pem'),
    '-days',
    '30',
    '-subj',
    `/CN=${name}`,
    ...ca,
  )
  openssl('req', ...key, '-nodes', '-keyout', file('sub.key'), '-out', file('sub.csr'), '-subj', `/CN=${name} sub`)
  writeFileSync(file('sub.ext'), 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n')
  const by = ['-CA', file('root.pem'), '-CAkey', file('root.key'), '-CAcreateserial', '-extfile', file('sub.ext')]
  openssl('x509', '-req', '-in', file('sub.csr'), ...by, '-days', '20', '-out', file('sub.pem'))
  chmodSync(file('sub.key'), 0o600)
}

async function open(folder: string, settings: object, onRoots = () => {}): Promise<Authority> {
  const read = readAuthorityFile(JSON.stringify(settings), 'authority.yaml')
  return openAuthority({
    folder: `${folder}/own`,
    trustDomain,
    clock: systemClock,
    log: silent,
    onRoots,
    issuer: onChange => openIssuer(read, { trustDomain, clock: systemClock, log: silent, onChange, variables: {} }),
  })
}

const leaf = async (authority: Authority) => authority.issue(makeCsr(await newKey(), orders), orders)

for (const kind of ['ec', 'rsa'] as const)
  test(`an intermediate of the operator's with a key of ${kind} signs, and openssl believes what it signed`, async () => {
    await using place = await temporaryFolder()
    company(place.path, kind)
    const settings = {
      type: 'Files',
      certificate: `${place.path}/company-sub.pem`,
      key: `${place.path}/company-sub.key`,
      roots: `${place.path}/company-root.pem`,
    }
    const authority = await open(place.path, settings)
    const { chain } = await leaf(authority)
    authority.close()
    assert.equal(chain.length, 3)
    for (const [at, pem] of chain.entries()) await writeFile(`${place.path}/chain-${at}.pem`, pem)
    assert.match(
      openssl(
        'verify',
        '-CAfile',
        `${place.path}/company-root.pem`,
        '-untrusted',
        `${place.path}/chain-1.pem`,
        `${place.path}/chain-0.pem`,
      ),
      /OK/,
    )
    assert.ok('peer' in authority.identify(chain.map(pem => new X509Certificate(pem).raw)))
    assert.equal(authority.rotation, undefined)
  })

test('files that change are used at once; those that do not fit together leave what was before', async () => {
  await using place = await temporaryFolder()
  company(place.path, 'ec', 'old')
  company(place.path, 'ec', 'new')
  const path = (name: string): string => `${place.path}/${name}`
  const put = async (from: string): Promise<void> => {
    await copyFile(path(`${from}-sub.key`), path('ca.key'))
    await copyFile(path(`${from}-sub.pem`), path('ca.pem'))
  }
  await put('old')
  await writeFile(path('roots.pem'), (await readFile(path('old-root.pem'), 'utf8')) + (await readFile(path('new-root.pem'), 'utf8')))
  let changes = 0
  const settings = { type: 'Files', certificate: path('ca.pem'), key: path('ca.key'), roots: path('roots.pem') }
  const authority = await open(place.path, settings, () => changes++)
  const first = (await leaf(authority)).chain[1]
  // A key of another certificate: nothing may be signed by it.
  await copyFile(path('new-sub.key'), path('ca.key'))
  await new Promise(resolve => setTimeout(resolve, 2600))
  assert.equal((await leaf(authority)).chain[1], first)
  assert.equal(changes, 0)
  await put('new')
  for (let tries = 0; tries < 100 && changes === 0; tries++) await new Promise(resolve => setTimeout(resolve, 100))
  const next = await leaf(authority)
  authority.close()
  assert.notEqual(next.chain[1], first)
  // What new certificates lead to comes first.
  const newRoot = new X509Certificate(await readFile(path('new-root.pem'))).fingerprint256
  assert.equal(new X509Certificate(authority.roots()[0]!).fingerprint256, newRoot)
  assert.equal(authority.roots().length, 2)
})

test('files that cannot be used are refused with the reason', async () => {
  await using place = await temporaryFolder()
  company(place.path, 'ec', 'one')
  company(place.path, 'ec', 'other')
  const path = (name: string): string => `${place.path}/${name}`
  const files = (certificate: string, key: string, roots: string) => ({
    type: 'Files',
    certificate: path(certificate),
    key: path(key),
    roots: path(roots),
  })
  const reason = async (settings: object): Promise<string> =>
    open(place.path, settings).then(
      authority => (authority.close(), 'none'),
      (thrown: Error) => thrown.message,
    )
  assert.match(await reason(files('one-sub.pem', 'other-sub.key', 'one-root.pem')), /the key in .*other-sub.key is not that of/)
  assert.match(await reason(files('one-sub.pem', 'one-sub.key', 'other-root.pem')), /does not lead to a root in .*other-root.pem/)
  assert.match(await reason(files('gone.pem', 'one-sub.key', 'one-root.pem')), /gone.pem/)
  const good = await open(place.path, files('one-sub.pem', 'one-sub.key', 'one-root.pem'))
  const { chain } = await leaf(good)
  good.close()
  await writeFile(path('leaf.pem'), chain[0]!)
  assert.match(await reason(files('leaf.pem', 'one-sub.key', 'one-root.pem')), /may not sign others/)
})

/** A program that signs by openssl; `lies` is what it does wrong. */
async function program(folder: string, lies = ''): Promise<object> {
  const script = `#!/bin/sh
set -e
cd ${folder}
cat > "asked.$$"
uri=\${LIE_URI:-$WEFT_IDENTITY}
names="URI:$uri"
for name in $(echo "$WEFT_DNS" | tr , ' '); do names="$names,DNS:$name"; done
for ip in $(echo "$WEFT_IPS" | tr , ' '); do names="$names,IP:$ip"; done
{
  echo "subjectAltName=critical,$names"
  echo "basicConstraints=critical,CA:FALSE"
  echo "keyUsage=critical,digitalSignature"
  echo "extendedKeyUsage=\${LIE_USAGE:-serverAuth,clientAuth}"
} > "ext.$$"
openssl x509 -req -in "asked.$$" -CA company-sub.pem -CAkey company-sub.key -set_serial $$ -days \${LIE_DAYS:-1} -extfile "ext.$$" 2>/dev/null
cat company-sub.pem
`
  await writeFile(`${folder}/sign.sh`, script)
  await chmod(`${folder}/sign.sh`, 0o700)
  return {
    type: 'Command',
    command: ['/bin/sh', '-c', `${lies} exec ${folder}/sign.sh`],
    roots: `${folder}/company-root.pem`,
    timeout: '10s',
  }
}

test('a program signs: it is told who asks and for how long', async () => {
  await using place = await temporaryFolder()
  company(place.path, 'ec')
  const authority = await open(place.path, await program(place.path))
  const issued = await leaf(authority)
  authority.close()
  assert.equal(new X509Certificate(issued.chain[0]!).subjectAltName, `URI:${orders}`)
  const shown = new X509Certificate(authority.serverCertificate().cert)
  assert.ok(shown.checkHost('localhost') !== undefined && shown.checkIP('127.0.0.1') !== undefined)
})

test('what a program gives that was not asked for nobody gets', async () => {
  await using place = await temporaryFolder()
  company(place.path, 'ec')
  const lie = async (name: string, command?: readonly string[]): Promise<string> => {
    const honest = (await program(place.path, `test -f ${place.path}/lie && export ${name};`)) as { command: readonly string[] }
    const authority = await open(place.path, { ...honest, ...(command === undefined ? {} : { command }) })
    await writeFile(`${place.path}/lie`, '')
    const message = await leaf(authority).then(
      () => 'nothing',
      (thrown: Error) => thrown.message,
    )
    authority.close()
    execFileSync('rm', [`${place.path}/lie`])
    return message
  }
  assert.match(await lie('LIE_URI=spiffe://test.mesh/ns/default/sa/admin'), /cannot be used: the peer is .*admin, expected .*orders/)
  assert.match(await lie('LIE_DAYS=7'), /longer than the 1440 minutes that were asked for/)
  assert.match(await lie('LIE_USAGE=serverAuth'), /cannot be used: the certificate is not for a TLS client/)
  const fails = ['/bin/sh', '-c', `if test -f ${place.path}/lie; then echo the HSM is locked >&2; exit 3; fi; exec ${place.path}/sign.sh`]
  assert.match(await lie('X=1', fails), /gave no certificate: it ended with code 3: the HSM is locked/)
  const silentOne = ['/bin/sh', '-c', `if test -f ${place.path}/lie; then exit 0; fi; exec ${place.path}/sign.sh`]
  assert.match(await lie('X=1', silentOne), /there is none in what it wrote/)
})

test('the file that says which authority signs is told with line and field where it is wrong', () => {
  const wrong = (text: string): string => {
    try {
      readAuthorityFile(text, 'ca.yaml')
    } catch (thrown) {
      return (thrown as Error).message
    }
    return 'nothing'
  }
  assert.match(wrong('type: Vault\naddress: http://vault:8200\nrole: mesh\n'), /ca\.yaml:2:10: address: must be an https URL/)
  assert.match(
    wrong('type: Vault\nadress: https://vault:8200\nrole: mesh\n'),
    /ca\.yaml:2:1: adress: unknown field \(did you mean "address"\?\)/,
  )
  assert.match(wrong('type: Vualt\n'), /ca\.yaml:1:7: type: /)
  assert.match(wrong('type: [\n'), /ca\.yaml:\d:\d: not valid YAML/)
  assert.match(
    wrong('type: Vault\naddress: https://v\nrole: m\ntokenFile: a\ntokenVariable: B\n'),
    /gives more than one of tokenFile, tokenVariable and appRole/,
  )
})

test('keys are kept encrypted where there is a passphrase, those of before too, and cannot be had without it', async () => {
  await using place = await temporaryFolder()
  const again = async (passphrase?: string): Promise<readonly string[]> => {
    const authority = await openAuthority({
      folder: place.path,
      trustDomain,
      clock: systemClock,
      log: silent,
      ...(passphrase === undefined ? {} : { passphrase }),
    })
    authority.close()
    return authority.roots()
  }
  const roots = await again()
  assert.deepEqual(await again('a long one'), roots)
  for (const file of ['root.pem', 'intermediate.pem', 'tokens.pem']) {
    const text = await readFile(`${place.path}/${file}`, 'utf8')
    assert.match(text, /BEGIN ENCRYPTED PRIVATE KEY/)
    assert.doesNotMatch(text, /BEGIN PRIVATE KEY/)
  }
  await assert.rejects(again(), /root\.pem: the private key is encrypted, and no passphrase was given; give the passphrase/)
  await assert.rejects(again('another'), /root\.pem: the private key cannot be decrypted with this passphrase; give the passphrase/)
  assert.deepEqual(await again('a long one'), roots)
  openssl('pkey', '-in', `${place.path}/root.pem`, '-passin', 'pass:a long one', '-noout')
})

for (const form of ['PEM', 'DER'] as const)
  test(`the revocation list that an authority gives as ${form} is taken when it signed it, read again, and kept when it is over`, async () => {
    await using place = await temporaryFolder()
    company(place.path, 'ec')
    company(place.path, 'ec', 'other')
    const file = (name: string): string => `${place.path}/${name}`
    writeFileSync(file('index.txt'), '')
    writeFileSync(file('crlnumber'), '1000\n')
    writeFileSync(
      file('ca.cnf'),
      `[ca]\ndefault_ca=own\n[own]\ndatabase=${file('index.txt')}\ncrlnumber=${file('crlnumber')}\ndefault_md=sha384\n[v2]\nauthorityKeyIdentifier=keyid\n`,
    )
    const by = (name: string): readonly string[] => [
      '-config',
      file('ca.cnf'),
      '-cert',
      file(`${name}-sub.pem`),
      '-keyfile',
      file(`${name}-sub.key`),
    ]
    const list = (name: string, ...life: readonly string[]): void => {
      openssl('ca', '-gencrl', ...by(name), '-crlexts', 'v2', ...life, '-out', file('crl.pem'))
      if (form === 'DER') openssl('crl', '-in', file('crl.pem'), '-outform', 'DER', '-out', file('crl'))
      else writeFileSync(file('crl'), readFileSync(file('crl.pem')))
    }
    list('company', '-crldays', '1')
    const settings = {
      type: 'Files',
      certificate: file('company-sub.pem'),
      key: file('company-sub.key'),
      roots: file('company-root.pem'),
      crl: file('crl'),
    }
    let changes = 0
    const authority = await open(place.path, settings, () => changes++)
    try {
      assert.deepEqual([authority.lists().isNeeded, authority.lists().areWhole], [true, false])
      const { chain, serial } = await leaf(authority)
      writeFileSync(file('leaf.pem'), chain[0]!)
      openssl('ca', ...by('company'), '-revoke', file('leaf.pem'))
      list('company', '-crlsec', '1')
      const isListed = (): boolean => authority.lists().told.some(({ entries }) => entries.has(serial))
      await until(isListed)
      assert.ok(changes > 0)
      assert.match(authority.lists().told[0]!.by, /company sub/)
      // Its time is over, and somebody else signs one: what is known stays.
      list('other', '-crldays', '1')
      await new Promise(resolve => setTimeout(resolve, 2500))
      assert.equal(isListed(), true)
    } finally {
      authority.close()
    }
    await assert.rejects(open(place.path, settings), /crl cannot be used as a revocation list: .*not signed by an authority of this mesh/)
  })

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 20_000
  while (!holds()) {
    assert.ok(Date.now() < end, 'not within 20 s')
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
