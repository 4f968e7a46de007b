;; A guest of the contract by hand, which does what no compiler would make of a program. `tests/hostile/guest.rs` puts a
;; test's own code in the place of the lines that begin with "@", and wraps the module into a component.
;;
;; Memory: 0 to 64 answers, 512 where branches lead (nowhere), 1,024 the description, 512 KiB the texts of a test, 1 MiB
;; what the host hands over.
(module
  (import "selvedge:graph/context@0.1.2" "emit-custom" (func $emit_custom (param i32 i32)))
  (import "selvedge:graph/context@0.1.2" "emit-message" (func $emit_message (param i32 i32 i32 i32)))
  (import "selvedge:graph/context@0.1.2" "interrupt" (func $interrupt (param i32 i32 i32)))
  (import "selvedge:graph/context@0.1.2" "remaining-ms" (func $remaining_ms (result i64)))
  (import "selvedge:graph/log@0.1.2" "write" (func $log (param i32 i32 i32)))

  (memory $memory (export "memory") 32)
  (data (i32.const 512) "[]")
  (data (i32.const 1024) "@description")
  (data (i32.const 524288) "@text")
  @items
  @configured

  ;; What the host hands over is never given back: an instance lives for one task.
  (global $end (mut i32) (i32.const 1048576))
  (func (export "cabi_realloc") (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32) (result i32)
    (local $start i32)
    (local.set $start (i32.and (i32.add (global.get $end) (i32.const 15)) (i32.const -16)))
    (global.set $end (i32.add (local.get $start) (local.get $bytes)))
    (block $enough
      (loop $more
        (br_if $enough (i32.le_u (global.get $end) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $more)))
    (local.get $start))

  ;; The answer `ok(text)` of a function that may fail.
  (func $ok (param $text i32) (param $bytes i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (local.get $text))
    (i32.store (i32.const 24) (local.get $bytes))
    (i32.const 16))

  (func $spin (loop $again (br $again)))

  (func (export "selvedge:graph/guest@0.1.2#describe") (result i32)
    @describe
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const @description_bytes))
    (i32.const 0))

  ;; Graph, node and task, each as address and length.
  (func (export "selvedge:graph/guest@0.1.2#run-node") (param i32 i32 i32 i32 i32 i32) (result i32)
    @run_node
    (call $ok (i32.const 524288) (i32.const @text_bytes)))

  ;; Graph, node, branch, state and task.
  (func (export "selvedge:graph/guest@0.1.2#route")
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    @route
    (call $ok (i32.const 512) (i32.const 2)))

  ;; Graph, channel, current value and updates.
  (func (export "selvedge:graph/guest@0.1.2#reduce") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    @reduce
    (call $ok (i32.const 524288) (i32.const @text_bytes))))
