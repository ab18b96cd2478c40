/** A resource that does not exist yet: a template to fill in, checked as one types. */

import { Button, Select } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter, useSearch } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useState } from 'react'
import type { Kind, Resource } from '../api/resources.ts'
import { pathOfObject } from '../api/resources.ts'
import { Page } from '../shared/page.tsx'
import { useDraft, write } from './draft.ts'
import { Editor } from './editor.tsx'
import css from './page.module.css'
import { KindLink } from './page.tsx'
import { templatesFor } from './templates.ts'
import { useKind } from './use-kind.tsx'
import { ApplyError, Problems, Verdict } from './verdict.tsx'

export function NewResourcePage(): ReactNode {
  const { kind, waiting } = useKind()
  return kind ? <Fresh key={kind.plural} kind={kind} /> : waiting
}

function Fresh({ kind }: { kind: Kind }): ReactNode {
  const { template: wanted, service = 'my-service.default' } = useSearch({ from: '/resources/$group/$version/$plural/new' })
  const templates = templatesFor(kind)
  const [name, namespace] = [service.split('.')[0] ?? 'my-service', service.split('.').slice(1).join('.') || 'default']
  const [chosen, setChosen] = useState(() => templates.find(template => template.id === wanted) ?? templates[0]!)
  const [text, setText] = useState(() => chosen.text(name, namespace))
  const draft = useDraft(kind, text, undefined)
  const client = useQueryClient()
  const router = useRouter()
  const create = useMutation({
    mutationFn: (resource: Resource) => write(kind, resource, undefined, false),
    onSuccess: saved => {
      void client.invalidateQueries({ queryKey: ['list', kind.group, kind.version, kind.plural] })
      router.history.push(pathOfObject(kind, saved))
    },
  })
  const save = (): void => {
    if (draft.resource && draft.verdict === 'valid') create.mutate(draft.resource)
  }
  return (
    <Page
      name={`New ${kind.kind}`}
      before={<KindLink kind={kind} />}
      title={`New ${kind.kind}`}
      aside={
        <>
          {templates.length > 1 && (
            <Select
              size="xs"
              w={320}
              aria-label="Template"
              allowDeselect={false}
              data={templates.map(({ id, name }) => ({ value: id, label: name }))}
              value={chosen.id}
              onChange={id => {
                const next = templates.find(template => template.id === id)
                if (!next) return
                setChosen(next)
                setText(next.text(name, namespace))
              }}
            />
          )}
          <Button size="xs" disabled={draft.verdict !== 'valid'} loading={create.isPending} onClick={save} data-testid="apply">
            Create
          </Button>
        </>
      }
    >
      <div className={css['state']}>
        <Verdict draft={draft} />
      </div>
      <Editor text={text} change={setText} marks={draft.marks} label={`New ${kind.kind} as YAML`} save={save} />
      <Problems draft={draft} />
      {create.error && <ApplyError error={create.error} />}
    </Page>
  )
}
