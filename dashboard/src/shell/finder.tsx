/** Type a few letters, press Enter, be there: services, proxies and resources by name. */

import { Modal, ScrollArea, Text, TextInput } from '@mantine/core'
import { IconSearch } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import type { KeyboardEvent, ReactNode } from 'react'
import { useEffect, useState } from 'react'
import { useProxies, useTopology } from '../api/queries.ts'
import { kindsQuery, listQuery, pathOfObject } from '../api/resources.ts'
import css from './finder.module.css'

type Place = { readonly name: string; readonly what: string; readonly to: string }

const routeKinds = new Set(['httproutes', 'grpcroutes', 'tcproutes', 'services'])

function usePlaces(): readonly Place[] {
  const topology = useTopology().data
  const proxies = useProxies().data
  const kinds = useQuery(kindsQuery).data?.filter(kind => kind.group === 'gateway.networking.k8s.io' && routeKinds.has(kind.plural)) ?? []
  const routes = useQuery({ ...listQuery(kinds.find(kind => kind.plural === 'httproutes')), refetchInterval: false as const }).data
  return [
    ...(topology?.services ?? []).map(service => ({
      name: `${service.name}.${service.namespace}`,
      what: 'Service',
      to: `/services/${service.name}.${service.namespace}`,
    })),
    ...(proxies ?? []).map(proxy => ({ name: proxy.id, what: 'Proxy', to: `/proxies/${proxy.id}` })),
    ...(routes?.items ?? []).map(route => ({
      name: `${route.metadata.name}.${route.metadata.namespace ?? ''}`,
      what: route.kind,
      to: pathOfObject(routes!.kind, route),
    })),
    ...['Topology', 'Services', 'Proxies', 'Resources', 'Status'].map(page => ({
      name: page,
      what: 'Page',
      to: page === 'Topology' ? '/' : `/${page.toLowerCase()}`,
    })),
  ]
}

export const Finder = ({ isOpen, close }: { isOpen: boolean; close: () => void }) => (
  <Modal opened={isOpen} onClose={close} withCloseButton={false} padding={0} size={520} yOffset="14vh" aria-label="Find">
    {isOpen && <Search close={close} />}
  </Modal>
)

function Search({ close }: { close: () => void }): ReactNode {
  const router = useRouter()
  const places = usePlaces()
  const [wanted, setWanted] = useState('')
  const [at, setAt] = useState(0)
  const words = wanted.toLowerCase().split(/\s+/)
  const found = places.filter(place => words.every(word => `${place.name} ${place.what}`.toLowerCase().includes(word))).slice(0, 50)
  useEffect(() => setAt(0), [wanted])
  const go = (place: Place | undefined): void => {
    if (!place) return
    close()
    router.history.push(place.to)
  }
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown') setAt(Math.min(at + 1, found.length - 1))
    else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0))
    else if (event.key === 'Enter') go(found[at])
    else return
    event.preventDefault()
  }
  return (
    <>
      <TextInput
        size="md"
        variant="unstyled"
        px="md"
        data-autofocus
        leftSection={<IconSearch size={17} />}
        placeholder="Find a service, proxy or route"
        aria-label="Find"
        value={wanted}
        onChange={event => setWanted(event.currentTarget.value)}
        onKeyDown={onKey}
      />
      <ScrollArea.Autosize mah={380} className={css['results'] ?? ''}>
        <div role="listbox" aria-label="Found">
          {found.map((place, index) => (
            <button
              type="button"
              role="option"
              aria-selected={index === at}
              key={`${place.what} ${place.to}`}
              className={css['result']}
              ref={index === at ? node => node?.scrollIntoView({ block: 'nearest' }) : null}
              onClick={() => go(place)}
              onMouseMove={() => setAt(index)}
            >
              <span>{place.name}</span>
              <Text size="xs" c="dimmed">
                {place.what}
              </Text>
            </button>
          ))}
          {found.length === 0 && (
            <Text c="dimmed" size="sm" p="md">
              Nothing is called like that.
            </Text>
          )}
        </div>
      </ScrollArea.Autosize>
    </>
  )
}
