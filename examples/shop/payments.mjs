// Takes the money.
import { serveJson } from './json-server.mjs'

serveJson({ 'POST /pay': (_url, { user, cents }) => ({ paid: cents, by: user }) })
