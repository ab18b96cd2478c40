import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromJson, type JsonObject } from '@bufbuild/protobuf'
import { anyPack, StructSchema } from '@bufbuild/protobuf/wkt'
import type { LoginPolicy } from '#model/login'
import { decodeLogins } from './decode/logins.ts'
import { encodeLogins } from './encode/logins.ts'

const policy: LoginPolicy = {
  name: 'shop/people',
  issuer: 'https://login.example.org',
  clientId: 'shop',
  secret: 'secret',
  secretIn: 'header',
  keys: ['MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='],
  scopes: ['openid'],
  parameters: [{ name: 'prompt', value: 'login' }],
  timeoutMs: 5000,
  redirectPath: '/oauth2/callback',
  logoutPath: '/logout',
  afterLogout: '/',
  cookie: { name: 'weft-login-people', sameSite: 'Lax' },
  lifetimeMs: 43_200_000,
  refreshes: true,
  accessToken: { header: 'authorization', prefix: 'Bearer ' },
  claimsToHeaders: [{ claim: 'sub', header: 'x-user' }],
  passesBearer: false,
  apiPaths: ['/api'],
}

test('logins come over as they are', () => {
  const policies = [policy, { ...policy, name: 'shop/wrong', keys: [], wrong: 'a Secret is missing', choosesRoutes: true } as const]
  assert.deepEqual(decodeLogins(encodeLogins(policies)[0]!.configType.value, 'here'), policies)
  assert.deepEqual(encodeLogins(undefined), [])
})

test('what is not whole, or not known, is refused by name', () => {
  const refused = (change: Readonly<Record<string, unknown>>): string => {
    const said = JSON.parse(JSON.stringify({ policies: [{ ...policy, ...change }] })) as JsonObject
    try {
      decodeLogins(anyPack(StructSchema, fromJson(StructSchema, said)), 'here')
    } catch (thrown) {
      return (thrown as { readonly reason: string }).reason
    }
    return 'taken'
  }
  assert.equal(refused({}), 'taken')
  assert.match(refused({ issuer: undefined }), /policies\[0\]\.issuer: text is needed/)
  assert.match(refused({ keys: [] }), /keys: at least one is needed/)
  assert.match(refused({ lifetimeMs: 'long' }), /lifetimeMs: a number is needed/)
  assert.match(refused({ passesBearer: 1 }), /passesBearer: true or false is needed/)
  assert.match(refused({ cookie: {} }), /cookie: a cookie with a name is needed/)
  assert.match(refused({ skipNonce: true }), /skipNonce: not carried out by this proxy/)
})
