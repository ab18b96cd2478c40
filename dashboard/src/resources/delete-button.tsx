/** Deletes a resource, after asking. */

import { Button, Group, Modal } from '@mantine/core'
import { IconTrash } from '@tabler/icons-react'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useState } from 'react'
import { useWhyNot } from '../api/login.ts'
import type { Kind, Resource } from '../api/resources.ts'
import { deleteObject, pathOfKind } from '../api/resources.ts'
import { ApplyError } from './verdict.tsx'

export function DeleteButton({ kind, live }: { kind: Kind; live: Resource }): ReactNode {
  const [isAsking, setAsking] = useState(false)
  const client = useQueryClient()
  const router = useRouter()
  const whyNot = useWhyNot(kind, live.metadata.namespace)
  const remove = useMutation({
    mutationFn: () => deleteObject(kind, live.metadata.namespace, live.metadata.name),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ['list', kind.group, kind.version, kind.plural] })
      router.history.push(pathOfKind(kind))
    },
  })
  return (
    <>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        leftSection={<IconTrash size={15} />}
        onClick={() => setAsking(true)}
        disabled={whyNot !== undefined}
        title={whyNot}
        data-testid="delete"
      >
        Delete
      </Button>
      <Modal opened={isAsking} onClose={() => setAsking(false)} title={`Delete ${kind.kind} ${live.metadata.name}?`}>
        <p style={{ marginTop: 0 }}>
          It is gone from every proxy within a second. What it did to traffic ends with it. There is no undo; copy its text first if you may
          want it back.
        </p>
        {remove.error && <ApplyError error={remove.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={() => setAsking(false)} data-autofocus>
            Keep it
          </Button>
          <Button color="red" loading={remove.isPending} onClick={() => remove.mutate()} data-testid="confirm-delete">
            Delete {live.metadata.name}
          </Button>
        </Group>
      </Modal>
    </>
  )
}
