//! Programs that are taken and what they say, and those that are not.

#[cfg(test)]
mod tests {
    use cloister_bpf::opcode::{
        A, ABS, ADD, ALU, AND, DIV, IMM, JA, JEQ, JGE, JGT, JMP, JSET, K, LD, LDX, LEN, LSH, MEM, MISC, MUL,
        NEG, OR, RET, RSH, ST, STX, SUB, TAX, TXA, X, XOR,
    };
    use cloister_bpf::{Data, Instruction, Invalid, MAX_INSTRUCTIONS, Program, Verdict};
    use proptest::prelude::*;

    const fn op(code: u16, k: u32) -> Instruction {
        Instruction { code, jt: 0, jf: 0, k }
    }

    fn data() -> Data {
        Data::new(59, 0xc000_003e, 0x1111_2222_3333_4444, [0x5555_6666_7777_8888, 1, 2, 3, 4, 6])
    }

    fn run(instructions: &[Instruction]) -> Verdict {
        Program::new(instructions).unwrap().run(&data())
    }

    #[test]
    fn data_is_where_linux_has_it() {
        let words = [
            (0, 59),
            (4, 0xc000_003e),
            (8, 0x3333_4444),
            (12, 0x1111_2222),
            (16, 0x7777_8888),
            (20, 0x5555_6666),
            (Data::argument(5), 6),
            (Data::argument(5) + 4, 0),
        ];
        for (offset, value) in words {
            let verdict = run(&[Instruction::load(offset), op(RET | A, 0)]);
            assert_eq!(verdict, Verdict { value, is_constant: offset < 8 }, "{offset}");
        }
    }

    #[test]
    fn arithmetic_is_that_of_words() {
        let cases = [
            (ADD, u32::MAX, 2, 1),
            (SUB, 1, 2, u32::MAX),
            (MUL, 1 << 31, 2, 0),
            (DIV, 7, 2, 3),
            (OR, 5, 2, 7),
            (AND, 6, 3, 2),
            (LSH, 1, 31, 1 << 31),
            (RSH, 1 << 31, 31, 1),
            (XOR, 6, 3, 5),
        ];
        for (operation, a, k, result) in cases {
            let constant = run(&[op(LD | IMM, a), op(ALU | operation | K, k), op(RET | A, 0)]);
            let register =
                run(&[op(LDX | IMM, k), op(LD | IMM, a), op(ALU | operation | X, 0), op(RET | A, 0)]);
            assert_eq!((constant.value, register.value), (result, result), "{operation:#x}");
        }
        assert_eq!(run(&[op(LD | IMM, 1), op(ALU | NEG, 0), op(RET | A, 0)]).value, u32::MAX);
        assert_eq!(run(&[op(LD | LEN, 0), op(RET | A, 0)]).value, 64);
        // A division by zero kills the thread; a shift by a word or more is one by the rest.
        assert_eq!(run(&[op(LD | IMM, 7), op(ALU | DIV | X, 0), op(RET | K, 9)]).value, 0);
        let shift = [op(LDX | IMM, 33), op(LD | IMM, 1), op(ALU | LSH | X, 0), op(RET | A, 0)];
        assert_eq!(run(&shift).value, 2);
    }

    #[test]
    fn jumps_and_memory() {
        let tests = [(JEQ, 59), (JGT, 58), (JGE, 59), (JSET, 1)];
        for (test, k) in tests {
            let verdict = run(&[
                Instruction::load(Data::NUMBER),
                Instruction::jump_if(test, k, 1, 0),
                Instruction::ret(1),
                Instruction::ret(2),
            ]);
            assert_eq!(verdict, Verdict { value: 2, is_constant: true });
        }
        let moved = [
            op(LD | IMM, 7),
            op(ST, 3),
            op(LDX | MEM, 3),
            op(STX, 15),
            Instruction::jump(1),
            op(RET | K, 1),
            op(LD | MEM, 15),
            op(MISC | TAX, 0),
            op(LD | IMM, 0),
            op(MISC | TXA, 0),
            op(RET | A, 0),
        ];
        assert_eq!(run(&moved).value, 7);
    }

    #[test]
    fn what_linux_refuses_is_refused() {
        let ret = op(RET | K, 0);
        let cases: &[(&[Instruction], Invalid)] = &[
            (&[], Invalid::Length),
            (&vec![ret; MAX_INSTRUCTIONS + 1], Invalid::Length),
            (&[op(LD | IMM, 0)], Invalid::NoReturn),
            (&[Instruction::load(64), ret], Invalid::Constant(0)),
            (&[Instruction::load(2), ret], Invalid::Constant(0)),
            (&[op(ALU | DIV | K, 0), ret], Invalid::Constant(0)),
            (&[op(ALU | LSH | K, 32), ret], Invalid::Constant(0)),
            (&[op(ST, 16), ret], Invalid::Constant(0)),
            (&[Instruction::jump(1), ret], Invalid::Jump(0)),
            (&[Instruction::jump(u32::MAX), ret], Invalid::Jump(0)),
            (&[Instruction::jump_if(JEQ, 0, 1, 0), ret], Invalid::Jump(0)),
            (&[Instruction::jump_if(JEQ, 0, 0, 1), ret], Invalid::Jump(0)),
            (&[op(LD | MEM, 0), ret], Invalid::Unwritten(0)),
            // On one of two ways only.
            (&[Instruction::jump_if(JEQ, 0, 1, 0), op(ST, 0), op(LD | MEM, 0), ret], Invalid::Unwritten(2)),
            // Modulo, returning the index register, loading half a word or by the index register.
            (&[op(ALU | 0x90 | K, 1), ret], Invalid::Code(0)),
            (&[op(RET | X, 0)], Invalid::Code(0)),
            (&[op(LD | ABS | 0x08, 0), ret], Invalid::Code(0)),
            (&[op(LD | 0x40, 0), ret], Invalid::Code(0)),
            (&[op(0x100 | JMP | JEQ, 0), ret], Invalid::Code(0)),
            (&[op(0xffff, 0), ret], Invalid::Code(0)),
        ];
        for (instructions, expected) in cases {
            assert_eq!(Program::new(*instructions), Err(*expected), "{instructions:?}");
        }
        Program::new(vec![ret; MAX_INSTRUCTIONS]).unwrap();
    }

    /// Instructions that are often allowed, so that whole programs are.
    fn instruction() -> impl Strategy<Value = Instruction> {
        let code = prop_oneof![
            any::<u16>(),
            0..0x100_u16,
            proptest::sample::select(vec![
                LD | ABS,
                ST,
                LD | MEM,
                ALU | DIV | X,
                JMP | JEQ,
                JMP | JA,
                RET | A
            ]),
        ];
        let k = prop_oneof![0..64_u32, any::<u32>()];
        (code, 0..4_u8, 0..4_u8, k).prop_map(|(code, jt, jf, k)| Instruction { code, jt, jf, k })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn every_program_that_is_taken_ends(
            mut instructions in prop::collection::vec(instruction(), 0..12),
            number in any::<u32>(),
        ) {
            instructions.push(op(RET | A, 0));
            // Most are not taken; those that are must neither fail nor loop, and say the same twice.
            if let Ok(program) = Program::new(instructions) {
                let data = Data::new(number, 7, 8, [9; 6]);
                prop_assert_eq!(program.run(&data), program.run(&data));
                let other = Data::new(number, 7, 1, [2; 6]);
                if program.run(&data).is_constant {
                    prop_assert_eq!(program.run(&data), program.run(&other));
                }
            }
        }
    }
}
