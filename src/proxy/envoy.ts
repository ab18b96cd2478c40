/** What an Envoy in the place of a proxy of ours needs beside it: its bootstrap, its certificates, and somebody who takes leave for it. This file is the door. */

export { envoyBootstrap } from '#xds/envoy-bootstrap'
export { askAdmission } from './envoy/admission.ts'
export { takeLeave } from './envoy/leave.ts'
export { serveOwnSecrets } from './envoy/secrets.ts'
