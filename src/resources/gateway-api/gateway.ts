/** GatewayClass, Gateway and ListenerSet: where traffic from outside enters, and who serves it. */

import { z } from 'zod'
import {
  age,
  atomicList,
  conditionColumn,
  conditions,
  controllerName,
  hostname,
  labelSelector,
  mapList,
  objectName,
  portNumber,
  rules,
} from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { listeners, listenerStatuses } from './listeners.ts'
import { anyObject, gatewayGroup, localObject, parentRef, secretRef } from './references.ts'

const classSpec = z.strictObject({
  controllerName: controllerName().describe('Who serves Gateways of this class; cannot be changed.'),
  parametersRef: anyObject.optional().describe('Settings of the implementation.'),
  description: z.string().max(64).optional().describe('For people.'),
})
export type GatewayClass = Resource<z.infer<typeof classSpec>>

const base = { group: gatewayGroup, version: 'v1', categories: ['gateway-api'], hasStatus: true } as const

export const gatewayClass: Kind = {
  ...base,
  alsoVersions: ['v1beta1'],
  kind: 'GatewayClass',
  plural: 'gatewayclasses',
  singular: 'gatewayclass',
  shortNames: ['gc'],
  namespaced: false,
  description:
    'A GatewayClass names the controller that serves the Gateways of the class. Weft serves those of weft.dev/gateway, and the class "weft" without a document.',
  schema: z.strictObject({
    spec: classSpec.describe('The controller and its settings.'),
    status: z
      .strictObject({
        conditions: conditions().optional().describe('Accepted.'),
        supportedFeatures: mapList(z.strictObject({ name: z.string().describe('Name of the feature.') }), 'name')
          .max(64)
          .optional()
          .describe('Features of Gateway API that the class carries out.'),
      })
      .optional()
      .describe('What the controller reports.'),
  }),
  columns: [
    { name: 'Controller', type: 'string', description: 'Who serves it', value: r => (r as GatewayClass).spec?.controllerName },
    conditionColumn('Accepted'),
    age,
    { name: 'Description', type: 'string', description: 'For people', priority: 1, value: r => (r as GatewayClass).spec?.description },
  ],
}

const addressType = () =>
  z.string().min(1).max(253).default('IPAddress').describe('IPAddress, Hostname, NamedAddress, or example.com/name of an implementation.')
const address = z
  .strictObject({ type: addressType(), value: z.string().max(253).optional().describe('The address; absent: any of that type.') })
  .check(
    rules(function* ({ type, value }) {
      if (type === 'Hostname' && value && !hostname().safeParse(value).success)
        yield { path: ['value'], says: 'must be a host name in lower case' }
    }),
  )

const frontendTls = z.strictObject({
  validation: z
    .strictObject({
      caCertificateRefs: atomicList(anyObject).min(1).max(16).describe('Certificates of the authorities that sign client certificates.'),
      mode: z
        .enum(['AllowValidOnly', 'AllowInsecureFallback'])
        .default('AllowValidOnly')
        .describe('Whether a client without a valid certificate is served.'),
    })
    .optional()
    .describe('How client certificates are checked.'),
})

const gatewaySpec = z.strictObject({
  gatewayClassName: objectName().describe('The GatewayClass, and so who serves it.'),
  listeners: listeners().describe('Ports on which it listens.'),
  addresses: atomicList(address)
    .max(16)
    .check(
      rules(function* (list) {
        for (const [at, one] of list.entries())
          if (one.value !== undefined && list.findIndex(other => other.type === one.type && other.value === one.value) < at)
            yield { path: [at, 'value'], says: `repeats ${one.value}: an address may be listed once` }
      }),
    )
    .optional()
    .describe('Addresses asked for.'),
  infrastructure: z
    .strictObject({
      labels: z.record(z.string(), z.string().max(63)).optional().describe('Labels for what is made to serve it.'),
      annotations: z.record(z.string(), z.string().max(4096)).optional().describe('Annotations for what is made to serve it.'),
      parametersRef: localObject.optional().describe('Settings of the implementation.'),
    })
    .optional()
    .describe('What is made to serve it.'),
  allowedListeners: z
    .strictObject({
      namespaces: z
        .strictObject({
          from: z.enum(['All', 'Selector', 'Same', 'None']).default('None').describe('Whose ListenerSets may attach.'),
          selector: labelSelector.optional().describe('Labels of the namespaces, for Selector.'),
        })
        .default({ from: 'None' })
        .describe('Namespaces whose ListenerSets may attach.'),
    })
    .optional()
    .describe('Which ListenerSets may attach.'),
  defaultScope: z.enum(['All', 'None']).optional().describe('Whether it is a default Gateway.'),
  tls: z
    .strictObject({
      backend: z
        .strictObject({ clientCertificateRef: secretRef.optional().describe('The certificate shown to backends.') })
        .optional()
        .describe('TLS towards backends.'),
      frontend: z
        .strictObject({
          default: frontendTls.describe('For every HTTPS listener.'),
          perPort: mapList(z.strictObject({ port: portNumber().describe('The port.'), tls: frontendTls.describe('Its settings.') }), 'port')
            .max(64)
            .check(
              rules(function* (list) {
                for (const [at, { port }] of list.entries())
                  if (list.findIndex(other => other.port === port) < at) yield { path: [at, 'port'], says: `repeats port ${port}` }
              }),
            )
            .optional()
            .describe('For one port, instead of the default.'),
        })
        .optional()
        .describe('TLS towards clients.'),
    })
    .optional()
    .describe('TLS of the whole Gateway.'),
})
export type Gateway = Resource<z.infer<typeof gatewaySpec>>

export const gateway: Kind = {
  ...base,
  alsoVersions: ['v1beta1'],
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gtw'],
  namespaced: true,
  description:
    'A Gateway is where traffic from outside enters: listeners with ports, protocols and certificates, to which routes attach. "weft gateway" carries it out; what of it is not carried out yet is named in its status, and nothing of that is opened.',
  schema: z.strictObject({
    spec: gatewaySpec.describe('The class and the listeners.'),
    status: z
      .strictObject({
        addresses: atomicList(z.strictObject({ type: addressType(), value: z.string().min(1).max(253).describe('The address.') }))
          .max(16)
          .optional()
          .describe('Where it is reached.'),
        attachedListenerSets: z.int32().optional().describe('How many ListenerSets are attached.'),
        conditions: conditions().optional().describe('Accepted, Programmed.'),
        listeners: listenerStatuses().optional().describe('State of each listener.'),
      })
      .optional()
      .describe('What the controller reports.'),
  }),
  columns: [
    { name: 'Class', type: 'string', description: 'The GatewayClass', value: r => (r as Gateway).spec?.gatewayClassName },
    {
      name: 'Address',
      type: 'string',
      description: 'Where it is reached',
      value: r => (r.status as { addresses?: readonly { value: string }[] } | undefined)?.addresses?.map(each => each.value).join(','),
    },
    conditionColumn('Programmed'),
    age,
  ],
}

const setSpec = z.strictObject({
  parentRef: parentRef.omit({ sectionName: true, port: true }).describe('The Gateway that it adds to.'),
  listeners: listeners().describe('Ports on which the Gateway listens too.'),
})

export type ListenerSet = Resource<z.infer<typeof setSpec>>

export const listenerSet: Kind = {
  ...base,
  kind: 'ListenerSet',
  plural: 'listenersets',
  singular: 'listenerset',
  shortNames: ['lset'],
  namespaced: true,
  description: 'A ListenerSet adds listeners to a Gateway that another team owns, where allowedListeners of the Gateway lets it.',
  schema: z.strictObject({
    spec: setSpec.describe('The Gateway and the listeners.'),
    status: z
      .strictObject({
        conditions: conditions().optional().describe('Accepted, Programmed.'),
        listeners: listenerStatuses().optional().describe('State of each listener.'),
      })
      .optional()
      .describe('What the controller reports.'),
  }),
  columns: [conditionColumn('Accepted'), conditionColumn('Programmed'), age],
}
