// A pass for clang 19 that makes a counted module of a shader: before each load, store and copy, and once a basic block for
// its float operations, it calls the executor (sim.h, struct Runtime) with the place in the MSL source.
//
// It runs when the optimiser has simplified and before it vectorises: variables of a thread are registers by then, functions
// are inlined and short loops unrolled, yet each load is still one that the source asks for, at its own width.
#include "../sim/sim.h"

#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/AttributeMask.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Passes/PassPlugin.h"

using namespace llvm;

namespace {

// A function of Runtime that the pass calls, and the global of the module that keeps it.
struct Slot {
  const char *global;
  unsigned offset;
};
constexpr Slot access_slot = {"metal_sim_access", offsetof(sim::Runtime, access)};
constexpr Slot copy_slot = {"metal_sim_copy", offsetof(sim::Runtime, copy)};
constexpr Slot float_slot = {"metal_sim_float_ops", offsetof(sim::Runtime, float_ops)};
constexpr Slot store_slot = {"metal_sim_store", offsetof(sim::Runtime, store)};
constexpr Slot fill_slot = {"metal_sim_fill", offsetof(sim::Runtime, fill)};
constexpr Slot slots[] = {access_slot, copy_slot, float_slot, store_slot, fill_slot};

constexpr unsigned store_flag = 1, atomic_flag = 2, load_flag = 4, part_flag = 8;

// The MSL source is compiled under this name; everything else is a header of ours.
constexpr StringRef source_name = "program_source";

// What the optimiser must not assume. That an argument can be read: it would load it before the test that guards it, and the
// load would be judged as if the source had made it. That loops end: it would remove one that does not.
struct Distrust : PassInfoMixin<Distrust> {
  PreservedAnalyses run(Module &module, ModuleAnalysisManager &) {
    AttributeMask mask;
    mask.addAttribute(Attribute::Dereferenceable);
    mask.addAttribute(Attribute::DereferenceableOrNull);
    for (Function &f : module) {
      f.removeFnAttr(Attribute::MustProgress);
      f.removeFnAttr(Attribute::WillReturn);
      for (Argument &a : f.args()) f.removeParamAttrs(a.getArgNo(), mask);
      f.removeRetAttrs(mask);
      for (Instruction &i : instructions(f)) {
        if (i.isTerminator()) i.setMetadata(LLVMContext::MD_loop, nullptr);
        auto *call = dyn_cast<CallBase>(&i);
        if (!call) continue;
        for (unsigned k = 0; k < call->arg_size(); k++) call->removeParamAttrs(k, mask);
        call->removeRetAttrs(mask);
      }
    }
    return PreservedAnalyses::none();
  }
  static bool isRequired() { return true; }
};

struct Place {
  unsigned line = 0, column = 0;
  bool ours = false; // the instruction itself stands in one of our headers
};

bool same(const Place &a, const Place &b) { return a.line == b.line && a.column == b.column; }

// Where in the MSL source an instruction comes from: the innermost place of the chain of inlined calls that is the user's.
Place place_of(const Instruction &i) {
  Place p;
  for (const DILocation *l = i.getDebugLoc(); l; l = l->getInlinedAt()) {
    if (!l->getFilename().ends_with(source_name)) {
      p.ours = true;
      continue;
    }
    if (!l->getLine()) continue; // of code merged from several places
    p.line = l->getLine();
    p.column = l->getColumn();
    return p;
  }
  if (const DISubprogram *s = i.getFunction()->getSubprogram())
    if (s->getFilename().ends_with(source_name)) p.line = s->getLine();
  return p;
}

// Memory that no other thread sees and that can't be out of bounds of a buffer: a variable of the thread, or a constant
// of the program.
bool is_private(const Value *pointer) {
  SmallVector<const Value *, 4> objects;
  getUnderlyingObjects(pointer, objects, nullptr, 16);
  for (const Value *o : objects)
    if (!isa<AllocaInst>(o) && !isa<GlobalVariable>(o)) return false;
  return !objects.empty();
}

// A load or store of the source, perhaps in pieces: an aligned vector or struct that the optimiser took apart.
struct Access {
  Instruction *first; // where the call goes
  Value *base;
  int64_t offset;
  uint64_t bytes;
  Align align;
  bool store;
  Place place;
  SmallVector<Instruction *, 4> parts;
};

struct Instrument : PassInfoMixin<Instrument> {
  PreservedAnalyses run(Function &f, FunctionAnalysisManager &) {
    if (f.isDeclaration() || f.getName() == "sim_module" || f.getName() == "metal_sim_nothing") return PreservedAnalyses::all();
    layout = &f.getParent()->getDataLayout();
    for (BasicBlock &b : f) {
      count_floats(b);
      find_accesses(b);
    }
    for (Access &a : accesses) call_for(a);
    for (Instruction *i : copies) call_for_copy(*cast<AnyMemIntrinsic>(i));
    accesses.clear();
    copies.clear();
    return PreservedAnalyses::none();
  }
  static bool isRequired() { return true; }

private:
  const DataLayout *layout;
  std::vector<Access> accesses;
  std::vector<Instruction *> copies;

  static unsigned &next_site() {
    static unsigned n = 0;
    return n;
  }

  // Constructors run before sim_module has set the slots: their calls go to a function that does nothing.
  static Function *nothing(Module &m) {
    if (Function *f = m.getFunction("metal_sim_nothing")) return f;
    Function *f = Function::Create(FunctionType::get(Type::getVoidTy(m.getContext()), false), GlobalValue::InternalLinkage, "metal_sim_nothing", m);
    ReturnInst::Create(m.getContext(), BasicBlock::Create(m.getContext(), "", f));
    return f;
  }

  static Value *slot(IRBuilder<> &b, Module &m, const Slot &s) {
    GlobalVariable *g = m.getGlobalVariable(s.global, true);
    if (!g) g = new GlobalVariable(m, PointerType::getUnqual(m.getContext()), false, GlobalValue::InternalLinkage, nothing(m), s.global);
    return b.CreateLoad(b.getPtrTy(), g);
  }

  static void call(IRBuilder<> &b, Instruction &at, const Slot &s, ArrayRef<Value *> arguments) {
    SmallVector<Type *, 6> types;
    for (Value *v : arguments) types.push_back(v->getType());
    b.CreateCall(FunctionType::get(b.getVoidTy(), types, false), slot(b, *at.getModule(), s), arguments);
  }

  static unsigned lanes(const Type *t) {
    auto *v = dyn_cast<FixedVectorType>(t);
    return v ? v->getNumElements() : 1;
  }

  static unsigned float_ops(const Instruction &i) {
    if (!i.getType()->isFPOrFPVectorTy()) return 0;
    unsigned n = lanes(i.getType());
    switch (i.getOpcode()) {
    case Instruction::FAdd:
    case Instruction::FSub:
    case Instruction::FMul:
    case Instruction::FDiv:
    case Instruction::FRem: return n;
    case Instruction::Call: break;
    default: return 0;
    }
    const auto *f = cast<CallInst>(i).getCalledFunction();
    if (!f) return 0;
    switch (f->getIntrinsicID()) {
    case Intrinsic::fma:
    case Intrinsic::fmuladd: return 2 * n;
    case Intrinsic::sqrt:
    case Intrinsic::exp:
    case Intrinsic::exp2:
    case Intrinsic::log:
    case Intrinsic::log2:
    case Intrinsic::log10:
    case Intrinsic::pow:
    case Intrinsic::sin:
    case Intrinsic::cos:
    case Intrinsic::floor:
    case Intrinsic::ceil:
    case Intrinsic::rint:
    case Intrinsic::trunc:
    case Intrinsic::round:
    case Intrinsic::minnum:
    case Intrinsic::maxnum: return n;
    case Intrinsic::not_intrinsic: return f->isDeclaration() ? n : 0; // of the mathematical library
    default: return 0;
    }
  }

  // The executor counts the operations within a simd operation, which ours spell out.
  static bool within_simd_operation(const Instruction &i) {
    for (const DILocation *l = i.getDebugLoc(); l; l = l->getInlinedAt())
      if (l->getFilename().ends_with("simd.h") || l->getFilename().ends_with("simdgroup_matrix.h")) return true;
    return false;
  }

  // Once a block, also where there is none: the executor counts blocks to end what never ends.
  void count_floats(BasicBlock &b) {
    unsigned n = 0;
    for (Instruction &i : b)
      if (unsigned k = float_ops(i); k && !within_simd_operation(i)) n += k;
    bool loops = false;
    for (BasicBlock *s : successors(&b)) loops |= s == &b || !s->getSinglePredecessor();
    if (!n && !loops) return;
    Instruction *end = b.getTerminator();
    IRBuilder<> builder(end);
    if (const DISubprogram *s = b.getParent()->getSubprogram())
      if (!builder.getCurrentDebugLocation()) builder.SetCurrentDebugLocation(DILocation::get(b.getContext(), 0, 0, const_cast<DISubprogram *>(s)));
    call(builder, *end, float_slot, {builder.getInt32(n)});
  }

  // Whether an instruction can be the next part of an access: of the same expression, next to it, within its alignment.
  bool continues(const Access &a, const Access &part) {
    return a.store == part.store && a.base == part.base && same(a.place, part.place) && a.place.line &&
           part.offset == a.offset + int64_t(a.bytes) && part.offset + part.bytes <= uint64_t(a.offset) + a.align.value() && part.align < a.align;
  }

  // The value of a part must be known where the call goes.
  static bool known_before(Value *v, Instruction *at) {
    auto *i = dyn_cast<Instruction>(v);
    return !i || i->getParent() != at->getParent() || i->comesBefore(at);
  }

  void find_accesses(BasicBlock &b) {
    size_t open = accesses.size(); // accesses from here may still grow
    for (Instruction &i : b) {
      if (auto *m = dyn_cast<AnyMemIntrinsic>(&i)) {
        bool seen = !is_private(m->getRawDest());
        if (auto *t = dyn_cast<AnyMemTransferInst>(m)) seen |= !is_private(t->getRawSource());
        if (seen) copies.push_back(m);
        open = accesses.size();
        continue;
      }
      bool load = isa<LoadInst>(i), store = isa<StoreInst>(i);
      bool atomic = isa<AtomicRMWInst>(i) || isa<AtomicCmpXchgInst>(i) || (load && cast<LoadInst>(i).isAtomic()) || (store && cast<StoreInst>(i).isAtomic());
      if (!load && !store && !atomic) {
        if (i.mayWriteToMemory()) open = accesses.size();
        continue;
      }
      if (!getLoadStorePointerOperand(&i) && !atomic) continue;
      Value *pointer = load || store ? getLoadStorePointerOperand(&i)
                       : isa<AtomicRMWInst>(i) ? cast<AtomicRMWInst>(i).getPointerOperand() : cast<AtomicCmpXchgInst>(i).getPointerOperand();
      if (is_private(pointer)) continue;
      Type *type = store ? cast<StoreInst>(i).getValueOperand()->getType()
                   : isa<AtomicRMWInst>(i) ? cast<AtomicRMWInst>(i).getValOperand()->getType()
                   : isa<AtomicCmpXchgInst>(i) ? cast<AtomicCmpXchgInst>(i).getNewValOperand()->getType() : i.getType();
      Align align = load ? cast<LoadInst>(i).getAlign() : store ? cast<StoreInst>(i).getAlign()
                    : isa<AtomicRMWInst>(i) ? cast<AtomicRMWInst>(i).getAlign() : cast<AtomicCmpXchgInst>(i).getAlign();
      APInt offset(layout->getIndexTypeSizeInBits(pointer->getType()), 0);
      Value *base = pointer->stripAndAccumulateConstantOffsets(*layout, offset, true);
      Access a = {&i, base, offset.getSExtValue(), layout->getTypeStoreSize(type), align, store || (atomic && !load), place_of(i), {&i}};
      bool joined = false;
      for (size_t k = open; k < accesses.size() && !atomic; k++) {
        Access &before = accesses[k];
        if (!continues(before, a) || (store && !known_before(cast<StoreInst>(i).getValueOperand(), before.first))) continue;
        before.bytes += a.bytes;
        before.parts.push_back(&i);
        joined = true;
        break;
      }
      if (atomic || (store && !joined)) open = accesses.size();
      if (!joined) accesses.push_back(std::move(a));
    }
  }

  // A slot of the function for values to show to the executor.
  Value *spill(IRBuilder<> &b, const Access &a) {
    Function &f = *a.first->getFunction();
    IRBuilder<> entry(&*f.getEntryBlock().getFirstInsertionPt());
    AllocaInst *slot = entry.CreateAlloca(ArrayType::get(entry.getInt8Ty(), a.bytes), nullptr, "metal_sim_value");
    slot->setAlignment(Align(16));
    uint64_t at = 0;
    for (Instruction *p : a.parts) {
      Value *v = cast<StoreInst>(p)->getValueOperand();
      b.CreateAlignedStore(v, b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), slot, at), Align(1));
      at += layout->getTypeStoreSize(v->getType());
    }
    return slot;
  }

  void call_for(Access &a) {
    Instruction &i = *a.first;
    IRBuilder<> b(&i);
    unsigned flags = a.store ? store_flag : 0;
    if (i.isAtomic()) flags |= atomic_flag;
    if (isa<AtomicRMWInst>(i) || isa<AtomicCmpXchgInst>(i)) flags |= store_flag | load_flag;
    unsigned site = next_site()++ % 65535 + 1;
    flags |= Log2(a.align) << 8 | site << 16;
    Value *pointer = isa<LoadInst>(i) || isa<StoreInst>(i) ? getLoadStorePointerOperand(&i)
                     : isa<AtomicRMWInst>(i) ? cast<AtomicRMWInst>(i).getPointerOperand() : cast<AtomicCmpXchgInst>(i).getPointerOperand();
    Value *bytes = b.getInt32(a.bytes), *line = b.getInt32(a.place.line), *column = b.getInt32(a.place.column);
    if (isa<StoreInst>(i) && !i.isAtomic())
      call(b, i, store_slot, {pointer, spill(b, a), bytes, b.getInt32(flags), line, column});
    else
      call(b, i, access_slot, {pointer, bytes, b.getInt32(flags), line, column});
  }

  void call_for_copy(AnyMemIntrinsic &m) {
    IRBuilder<> b(&m);
    Place p = place_of(m);
    Value *line = b.getInt32(p.line), *column = b.getInt32(p.column), *bytes = b.CreateZExtOrTrunc(m.getLength(), b.getInt64Ty());
    auto *t = dyn_cast<AnyMemTransferInst>(&m);
    auto *length = dyn_cast<ConstantInt>(m.getLength());
    if (t && length && length->getValue().ule(1 << 30)) { // a struct or vector: aligned
      Value *size = b.getInt32(length->getZExtValue());
      auto flags = [&](MaybeAlign a, unsigned kind) { return b.getInt32(kind | Log2(a.valueOrOne()) << 8 | (next_site()++ % 65535 + 1) << 16); };
      if (!is_private(t->getRawSource())) call(b, m, access_slot, {t->getRawSource(), size, flags(t->getSourceAlign(), part_flag), line, column});
      if (!is_private(m.getRawDest())) call(b, m, store_slot, {m.getRawDest(), t->getRawSource(), size, flags(m.getDestAlign(), store_flag), line, column});
    } else if (t)
      call(b, m, copy_slot, {m.getRawDest(), t->getRawSource(), bytes, line, column});
    else
      call(b, m, fill_slot, {m.getRawDest(), b.CreateZExtOrTrunc(cast<AnyMemSetInst>(m).getValue(), b.getInt32Ty()), bytes, line, column});
  }
};

// sim_module gets the executor's table: its functions are kept where the calls find them.
struct Connect : PassInfoMixin<Connect> {
  PreservedAnalyses run(Module &m, ModuleAnalysisManager &) {
    Function *f = m.getFunction("sim_module");
    if (!f || f->isDeclaration()) return PreservedAnalyses::all();
    IRBuilder<> b(&*f->getEntryBlock().getFirstInsertionPt());
    for (const Slot &s : slots)
      if (GlobalVariable *g = m.getGlobalVariable(s.global, true))
        b.CreateStore(b.CreateLoad(b.getPtrTy(), b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), f->getArg(0), s.offset)), g);
    return PreservedAnalyses::none();
  }
  static bool isRequired() { return true; }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "metal-sim", "1", [](PassBuilder &builder) {
            builder.registerPipelineStartEPCallback([](ModulePassManager &m, OptimizationLevel) { m.addPass(Distrust()); });
            builder.registerVectorizerStartEPCallback([](FunctionPassManager &f, OptimizationLevel) { f.addPass(Instrument()); });
            builder.registerOptimizerLastEPCallback([](ModulePassManager &m, OptimizationLevel) { m.addPass(Connect()); });
          }};
}
