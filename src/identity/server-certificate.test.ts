import assert from 'node:assert/strict'
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
