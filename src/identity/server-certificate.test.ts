import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { createRoot } from './issue.ts'
import { newKey } from './key.ts'
import { judgeServerCertificate } from './server-certificate.ts'

test('a certificate is taken with its own key only, and what is wrong is said without a word of the key', async () => {
  const [own, other] = [await newKey(), await newKey()]
  const cert = createRoot('weft.test', own, Date.now()).certificate.toString()
  assert.equal(judgeServerCertificate({ cert, key: own.pem }), undefined)
  const said = [
    judgeServerCertificate({ cert, key: other.pem }),
    judgeServerCertificate({ cert, key: own.pem.slice(0, 60) }),
    judgeServerCertificate({ cert: cert.replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA'), key: own.pem }),
    judgeServerCertificate({ cert: '', key: own.pem }),
  ]
  assert.deepEqual(said, [
    'tls.key is not the key of the first certificate in tls.crt',
    'tls.key holds no private key that can be read; one with a passphrase cannot',
    'tls.crt holds something that is not a certificate',
    'tls.crt holds no certificate',
  ])
  assert.equal(judgeServerCertificate({ cert: `${cert}${cert}` }), undefined)
  assert.equal(
    judgeServerCertificate({ cert: cert.replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA') }),
    'tls.crt holds something that is not a certificate',
  )
})

test('keys that no proxy takes are refused: short ones of RSA, and curves that TLS has not', () => {
  for (const [flags, says] of [
    [['-newkey', 'rsa:1024'], 'tls.key has 1024 bits: an RSA key needs 2048 at least'],
    [['-newkey', 'rsa:2048'], undefined],
    [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], undefined],
    [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], /curve secp256k1/],
    [['-newkey', 'ed25519'], undefined],
  ] as const) {
    const made = spawnSync('openssl', ['req', '-x509', ...flags, '-nodes', '-keyout', '-', '-days', '1', '-subj', '/CN=a'], {
      encoding: 'utf8',
    })
    const part = (name: string): string => new RegExp(`-----BEGIN ${name}-----[^]+?-----END ${name}-----\n`).exec(made.stdout)![0]
    const said = judgeServerCertificate({ cert: part('CERTIFICATE'), key: part('PRIVATE KEY') })
    if (says instanceof RegExp) assert.match(said ?? '', says)
    else assert.equal(said, says)
  }
})
